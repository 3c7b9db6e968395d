//! The client of the management service.
