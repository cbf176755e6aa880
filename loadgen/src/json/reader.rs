//! Reading JSON that somebody may have edited: whoever finds something amiss says at which key.

use std::fmt;

use serde_json::Value;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct At<'a> {
    value: &'a Value,
    path: String,
}

/// A key whose value is missing or will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {why}")]
pub struct KeyError {
    /// As a JSON pointer.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

impl<'a> At<'a> {
    pub(crate) fn root(value: &'a Value) -> Self {
        Self {
            value,
            path: String::new(),
        }
    }

    /// The value under `key`; an error if there is none.
    pub(crate) fn key(&self, key: &str) -> Result<Self, KeyError> {
        let below = |value| Self {
            value,
            path: format!("{}/{key}", self.path),
        };
        match self.value.get(key) {
            Some(value) => Ok(below(value)),
            None => Err(below(&Value::Null).wrong("is missing")),
        }
    }

    /// The value under `key`, if there is one that is not null.
    pub(crate) fn optional(&self, key: &str) -> Option<Self> {
        self.key(key).ok().filter(|at| !at.value.is_null())
    }

    /// The number under `key`; 0 if there is none.
    pub(crate) fn count<T: TryFrom<u64> + Default>(&self, key: &str) -> Result<T, KeyError> {
        self.optional(key).map_or(Ok(T::default()), |at| at.whole())
    }

    /// A whole number that is not negative and not too large.
    pub(crate) fn whole<T: TryFrom<u64>>(&self) -> Result<T, KeyError> {
        let number = self
            .value
            .as_u64()
            .ok_or_else(|| self.must_be("a whole number"))?;
        T::try_from(number).map_err(|_| self.wrong(format!("is {number}: too large")))
    }

    /// Any number.
    pub(crate) fn number(&self) -> Result<f64, KeyError> {
        self.value.as_f64().ok_or_else(|| self.must_be("a number"))
    }

    pub(crate) fn text(&self) -> Result<&'a str, KeyError> {
        self.value.as_str().ok_or_else(|| self.must_be("a text"))
    }

    pub(crate) fn yes_or_no(&self) -> Result<bool, KeyError> {
        self.value.as_bool().ok_or_else(|| self.must_be("true or false"))
    }

    /// The elements of a list.
    pub(crate) fn elements(&self) -> Result<impl Iterator<Item = Self> + '_, KeyError> {
        let list = self.value.as_array().ok_or_else(|| self.must_be("a list"))?;
        Ok(list.iter().enumerate().map(|(index, value)| Self {
            value,
            path: format!("{}/{index}", self.path),
        }))
    }

    /// The elements of the list under `key`, each read by `read`; none if there is no list.
    pub(crate) fn list<T>(
        &self,
        key: &str,
        read: impl FnMut(Self) -> Result<T, KeyError>,
    ) -> Result<Vec<T>, KeyError> {
        match self.optional(key) {
            Some(list) => list.elements()?.map(read).collect(),
            None => Ok(Vec::new()),
        }
    }

    /// The keys and values of an object.
    pub(crate) fn entries(&self) -> Result<impl Iterator<Item = (&'a str, Self)> + '_, KeyError> {
        let object = self.value.as_object().ok_or_else(|| self.must_be("an object"))?;
        Ok(object.iter().map(|(key, value)| {
            let path = format!("{}/{key}", self.path);
            (key.as_str(), Self { value, path })
        }))
    }

    /// A list of `LENGTH` whole numbers or more, of which the further ones are left out.
    pub(crate) fn wholes<const LENGTH: usize>(&self) -> Result<[u64; LENGTH], KeyError> {
        let mut numbers = [0; LENGTH];
        let mut elements = self.elements()?;
        for number in &mut numbers {
            let next = elements.next();
            let next = next.ok_or_else(|| self.wrong(format!("must have {LENGTH} numbers")))?;
            *number = next.whole()?;
        }
        Ok(numbers)
    }

    pub(crate) fn wrong(&self, why: impl fmt::Display) -> KeyError {
        KeyError {
            key: if self.path.is_empty() {
                "/".to_owned()
            } else {
                self.path.clone()
            },
            why: why.to_string(),
        }
    }

    fn must_be(&self, what: &str) -> KeyError {
        let is = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "another number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        self.wrong(format!("is {is}, but must be {what}"))
    }
}
