//! In front of an estate.

#![cfg(test)]

mod client;
mod ntlm;
mod picture;
mod qms;
mod xml;
