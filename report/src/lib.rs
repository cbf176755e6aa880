//! How results look: terminal, HTML, Markdown, JUnit. Knows neither load nor conformance.

pub mod document;
