//! How the core's types, which know no serde, are written: as byte strings.

/// `#[serde(with = "encoding::hash")]`.
pub(crate) mod hash {
    use fba_core::Hash;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&hash.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        serde_bytes::ByteArray::deserialize(deserializer).map(|bytes| Hash(bytes.into_array()))
    }
}

/// `#[serde(with = "encoding::node")]`.
pub(crate) mod node {
    use fba_core::NodeId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(node: &NodeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&node.0)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
        serde_bytes::ByteArray::deserialize(deserializer).map(|bytes| NodeId(bytes.into_array()))
    }
}
