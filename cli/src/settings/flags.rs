//! The flags of keys, made from the table.

use std::ffi::OsStr;

use clap::builder::{TypedValueParser, ValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use serde_json::Value;

use super::slot::{Given, Slot};
use super::table::{self, Key};
use super::{Assignment, Origin, Settings};

/// What was set by flags of keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeyFlags(Vec<(&'static str, Vec<String>)>);

impl KeyFlags {
    pub(super) fn assignments(&self) -> Vec<Assignment> {
        let assignment = |(name, values): &(&'static str, Vec<String>)| {
            let key = table::find(name).expect("flags are made from the table");
            let given = match values.as_slice() {
                [value] => Given::Text(value.clone()),
                values => Given::List(values.to_vec()),
            };
            let flag = key.flag.expect("it was set by its flag");
            Assignment {
                key,
                given,
                origin: Origin::Flag(format!("--{flag}")),
            }
        };
        self.0.iter().map(assignment).collect()
    }
}

impl Args for KeyFlags {
    fn augment_args(command: Command) -> Command {
        let mut defaults = Settings::default();
        let flagged = table::keys().filter_map(|key| Some((key, key.flag?)));
        flagged.fold(command, |command, (key, flag)| {
            command.arg(argument(key, flag, &mut defaults))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for KeyFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0 = table::keys()
            .filter(|key| key.flag.is_some())
            .filter_map(|key| {
                if is_switch(key) {
                    return matches
                        .get_flag(key.name)
                        .then(|| (key.name, vec!["true".to_owned()]));
                }
                let values = matches.get_many::<String>(key.name)?;
                Some((key.name, values.cloned().collect()))
            })
            .collect();
        Ok(())
    }
}

fn argument(key: &'static Key, flag: &'static str, defaults: &mut Settings) -> Arg {
    let default = key.slot.show(defaults);
    let help = match &default {
        Value::Null | Value::Bool(_) => key.doc.to_owned(),
        Value::Array(items) if items.is_empty() => key.doc.to_owned(),
        default => format!("{} [default: {}]", key.doc, Given::from(default)),
    };
    let argument = Arg::new(key.name)
        .long(flag)
        .help(help)
        .help_heading(heading(key));
    if is_switch(key) {
        return argument.action(ArgAction::SetTrue);
    }
    let check = move |text: &str| {
        let given = Given::Text(text.to_owned());
        key.check(&given).map(|()| text.to_owned())
    };
    let argument = argument.value_name(key.slot.placeholder());
    let argument = if key.slot.may_hold_a_password() {
        argument.value_parser(ValueParser::new(Unrepeated(key)))
    } else {
        argument.value_parser(ValueParser::new(check))
    };
    if key.slot.takes_several() {
        argument.action(ArgAction::Append).value_delimiter(',')
    } else {
        argument.action(ArgAction::Set)
    }
}

/// Checks a value, and never shows it: whoever mistypes a URL may have put a password into it.
#[derive(Clone)]
struct Unrepeated(&'static Key);

impl TypedValueParser for Unrepeated {
    type Value = String;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<String, clap::Error> {
        let wrong = |advice: String| {
            let said = format!("--{}: {advice}\n", self.0.name);
            clap::Error::raw(ErrorKind::ValueValidation, said).with_cmd(command)
        };
        let text = value
            .to_str()
            .ok_or_else(|| wrong("write it in UTF-8".to_owned()))?;
        self.0.check(&Given::Text(text.to_owned())).map_err(wrong)?;
        Ok(text.to_owned())
    }
}

const fn is_switch(key: &Key) -> bool {
    matches!(key.slot, Slot::Switch(_) | Slot::OnOff(_))
}

fn heading(key: &Key) -> Option<&'static str> {
    match key.name.split('.').next() {
        Some("limits") => Some("Limits"),
        Some("log") => Some("Log"),
        Some("server") => Some("Timings"),
        _ => None,
    }
}
