pub mod domain;
pub mod intercom;
pub mod settings;
