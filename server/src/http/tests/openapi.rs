//! docs/openapi.json is what the server does.

use super::*;
