//! Resources: things with fields that users make, look through, change and remove.

use std::future::Future;

use serde_json::{Map, Value};

use crate::keep::Keep;
use crate::session::{StoreError, Timestamp};

/// Fields by name. The store looks at none of them.
pub type Fields = Map<String, Value>;

/// A resource as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Made by the store: positive, below 2^53 so that every client can read it, never used again, and rising in the
    /// order of their making.
    pub id: u64,
    /// Who made it.
    pub owner: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it says.
    pub fields: Fields,
}

/// Where resources are kept: under a name, and perhaps inside another resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shelf<'a> {
    /// What keeps resources of one kind apart from all others, those of other realms among them.
    pub name: &'a str,
    /// The resource in which they are.
    pub inside: Option<u64>,
}

/// Some of the resources of a shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePage {
    /// In the order in which they were made.
    pub resources: Vec<Resource>,
    /// How many there are on the shelf.
    pub total: u64,
}

/// Keeps resources.
///
/// Guarantees of every implementation: each call is atomic, and what it did is seen by every later call. A resource
/// that is inside another is removed with it, and cannot be made where that is no longer there.
pub trait Resources: Send + Sync + 'static {
    /// Makes a resource. `None` if what it should be inside of is not there.
    fn create_resource(
        &self,
        shelf: Shelf<'_>,
        owner: &str,
        at: Timestamp,
        fields: Fields,
    ) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// The resource with this id, if it is on this shelf.
    fn resource(
        &self,
        shelf: Shelf<'_>,
        id: u64,
    ) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// At most `limit` resources behind the first `skip` ones. A shelf inside of nothing that is there is empty.
    fn resources(
        &self,
        shelf: Shelf<'_>,
        skip: u64,
        limit: usize,
    ) -> impl Future<Output = Result<ResourcePage, StoreError>> + Send;

    /// Sets these fields and leaves the others as they are. Returns what it says then; `None` if it is not on this shelf.
    fn revise_resource(
        &self,
        shelf: Shelf<'_>,
        id: u64,
        fields: Fields,
    ) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// Removes a resource with all that is inside of it; says whether it was there.
    fn remove_resource(
        &self,
        shelf: Shelf<'_>,
        id: u64,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Removes all that `owner` has made on the shelves of these names, with what is inside of it.
    fn remove_resources_of(
        &self,
        shelf_names: &[&str],
        owner: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes from a shelf what is not to be kept, at most `limit` at once. Returns how many it were: fewer, and no more
    /// are left.
    fn trim_resources(
        &self,
        shelf: Shelf<'_>,
        keep: Keep,
        limit: usize,
    ) -> impl Future<Output = Result<usize, StoreError>> + Send;
}
