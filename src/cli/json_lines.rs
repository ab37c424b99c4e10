//! A log line as one flat JSON object: process, command, step, message, and the fields of the event and of its spans side by
//! side, so that a log store can match on plain names.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::run_tracker::RunTracker;

pub(super) struct JsonLines(pub RunTracker);

/// The fields of a log line, in the order in which they were added. Each name is there once.
#[derive(Default)]
struct Line(Vec<(String, Value)>);

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut own = Line::default();
        event.record(&mut own);
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;

        let mut line = Line::default();
        line.put("timestamp", timestamp.into());
        line.put("level", event.metadata().level().as_str().into());
        line.put("message", own.take("message").unwrap_or_default());
        line.put("run_id", (*self.0.run_id).into());
        if let Some(command) = self.0.command {
            line.put("command", command.into());
        }
        let position = self.0.position();
        if let Some(step) = position.step {
            line.put("step", step.as_str().into());
        }
        // An event's own month takes precedence.
        if let Some(months) = position.months.filter(|_| !own.has("month")) {
            if months.first != months.last {
                line.put("first_month", months.first.to_string().into());
            }
            line.put("month", months.last.to_string().into());
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().map(|fields| serde_json::from_str(&fields.fields));
            if let Some(Ok(Value::Object(fields))) = fields {
                fields.into_iter().for_each(|(name, value)| line.put(&name, value));
            }
        }
        own.0.into_iter().for_each(|(name, value)| line.put(&name, value));
        line.put("target", event.metadata().target().into());
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

impl Line {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Adds a field. If the line has a field of this name, its value is replaced.
    fn put(&mut self, name: &str, value: Value) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.to_string(), value)),
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1)
    }
}

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format!("{value:?}").into());
    }
}
