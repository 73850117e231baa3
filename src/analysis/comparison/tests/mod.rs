//! Tests too long for the files that they are about.

mod evidence;
mod rounds;
