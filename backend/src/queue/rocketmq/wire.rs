//! The part of RocketMQ's gRPC contract (`apache.rocketmq.v2`) that is used
//! here: of each message the fields that are used, by their numbers. Protocol
//! Buffers leave out empty fields and skip unknown ones, so that the rest of the
//! contract need not be written down.

#![allow(
    missing_docs,
    clippy::missing_docs_in_private_items,
    reason = "the names are those of the contract, which says what they mean"
)]

use prost::{Enumeration, Message, Oneof};
use prost_types::{Duration, Timestamp};

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(string, tag = "1")]
    pub(super) resource_namespace: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum AddressScheme {
    Unspecified = 0,
    Ipv4 = 1,
    Ipv6 = 2,
    DomainName = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Address {
    #[prost(string, tag = "1")]
    pub(super) host: String,
    #[prost(int32, tag = "2")]
    pub(super) port: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Endpoints {
    #[prost(enumeration = "AddressScheme", tag = "1")]
    pub(super) scheme: i32,
    #[prost(message, repeated, tag = "2")]
    pub(super) addresses: Vec<Address>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Broker {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(int32, tag = "2")]
    pub(super) id: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) endpoints: Option<Endpoints>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Permission {
    Unspecified = 0,
    None = 1,
    Read = 2,
    Write = 3,
    ReadWrite = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum MessageType {
    Unspecified = 0,
    Normal = 1,
    Fifo = 2,
    Delay = 3,
    Transaction = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageQueue {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<Resource>,
    #[prost(int32, tag = "2")]
    pub(super) id: i32,
    #[prost(enumeration = "Permission", tag = "3")]
    pub(super) permission: i32,
    #[prost(message, optional, tag = "4")]
    pub(super) broker: Option<Broker>,
    #[prost(enumeration = "MessageType", repeated, tag = "5")]
    pub(super) accept_message_types: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum FilterType {
    Unspecified = 0,
    Tag = 1,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FilterExpression {
    #[prost(enumeration = "FilterType", tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "2")]
    pub(super) expression: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SystemProperties {
    #[prost(string, repeated, tag = "2")]
    pub(super) keys: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) message_id: String,
    #[prost(enumeration = "MessageType", tag = "6")]
    pub(super) message_type: i32,
    #[prost(message, optional, tag = "7")]
    pub(super) born_timestamp: Option<Timestamp>,
    #[prost(string, tag = "8")]
    pub(super) born_host: String,
    #[prost(message, optional, tag = "11")]
    pub(super) delivery_timestamp: Option<Timestamp>,
    #[prost(string, optional, tag = "12")]
    pub(super) receipt_handle: Option<String>,
    #[prost(int32, optional, tag = "16")]
    pub(super) delivery_attempt: Option<i32>,
    #[prost(string, optional, tag = "17")]
    pub(super) message_group: Option<String>,
}

/// A message as it is sent and received.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WireMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<Resource>,
    #[prost(message, optional, tag = "3")]
    pub(super) system_properties: Option<SystemProperties>,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) body: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    /// One of [`code`], or another.
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

/// The status codes that are distinguished here.
pub(super) mod code {
    pub(in super::super) const OK: i32 = 20_000;
    pub(in super::super) const MULTIPLE_RESULTS: i32 = 30_000;
    pub(in super::super) const ILLEGAL_MESSAGE_KEY: i32 = 40_005;
    pub(in super::super) const INVALID_RECEIPT_HANDLE: i32 = 40_013;
    pub(in super::super) const MESSAGE_PROPERTY_CONFLICT_WITH_TYPE: i32 = 40_014;
    pub(in super::super) const MESSAGE_NOT_FOUND: i32 = 40_401;
    pub(in super::super) const TOPIC_NOT_FOUND: i32 = 40_402;
    pub(in super::super) const PAYLOAD_TOO_LARGE: i32 = 41_300;
    pub(in super::super) const MESSAGE_BODY_TOO_LARGE: i32 = 41_301;
    pub(in super::super) const MESSAGE_BODY_EMPTY: i32 = 41_302;
    pub(in super::super) const TOO_MANY_REQUESTS: i32 = 42_900;
    /// This and higher codes are faults of the server; the message may be stored.
    pub(in super::super) const INTERNAL_ERROR: i32 = 50_000;
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct QueryRouteRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<Resource>,
    #[prost(message, optional, tag = "2")]
    pub(super) endpoints: Option<Endpoints>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct QueryRouteResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    pub(super) message_queues: Vec<MessageQueue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SendMessageRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) messages: Vec<WireMessage>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SendMessageResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReceiveMessageRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) group: Option<Resource>,
    #[prost(message, optional, tag = "2")]
    pub(super) message_queue: Option<MessageQueue>,
    #[prost(message, optional, tag = "3")]
    pub(super) filter_expression: Option<FilterExpression>,
    #[prost(int32, tag = "4")]
    pub(super) batch_size: i32,
    #[prost(message, optional, tag = "5")]
    pub(super) invisible_duration: Option<Duration>,
    #[prost(bool, tag = "6")]
    pub(super) auto_renew: bool,
    #[prost(message, optional, tag = "7")]
    pub(super) long_polling_timeout: Option<Duration>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReceiveMessageResponse {
    #[prost(oneof = "Received", tags = "1, 2, 3")]
    pub(super) content: Option<Received>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "prost's derive takes no box here, and they are read one at a time"
)]
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Received {
    #[prost(message, tag = "1")]
    Status(Status),
    #[prost(message, tag = "2")]
    Message(WireMessage),
    #[prost(message, tag = "3")]
    DeliveryTimestamp(Timestamp),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AckMessageEntry {
    #[prost(string, tag = "1")]
    pub(super) message_id: String,
    #[prost(string, tag = "2")]
    pub(super) receipt_handle: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AckMessageRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) group: Option<Resource>,
    #[prost(message, optional, tag = "2")]
    pub(super) topic: Option<Resource>,
    #[prost(message, repeated, tag = "3")]
    pub(super) entries: Vec<AckMessageEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AckMessageResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, repeated, tag = "2")]
    pub(super) entries: Vec<AckMessageResultEntry>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AckMessageResultEntry {
    #[prost(message, optional, tag = "3")]
    pub(super) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangeInvisibleDurationRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) group: Option<Resource>,
    #[prost(message, optional, tag = "2")]
    pub(super) topic: Option<Resource>,
    #[prost(string, tag = "3")]
    pub(super) receipt_handle: String,
    #[prost(message, optional, tag = "4")]
    pub(super) invisible_duration: Option<Duration>,
    #[prost(string, tag = "5")]
    pub(super) message_id: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangeInvisibleDurationResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(string, tag = "2")]
    pub(super) receipt_handle: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum ClientType {
    Unspecified = 0,
    Producer = 1,
    PushConsumer = 2,
    SimpleConsumer = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeartbeatRequest {
    #[prost(message, optional, tag = "1")]
    pub(super) group: Option<Resource>,
    #[prost(enumeration = "ClientType", tag = "2")]
    pub(super) client_type: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeartbeatResponse {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct SubscriptionEntry {
    #[prost(message, optional, tag = "1")]
    pub(super) topic: Option<Resource>,
    #[prost(message, optional, tag = "2")]
    pub(super) expression: Option<FilterExpression>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Subscription {
    #[prost(message, optional, tag = "1")]
    pub(super) group: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) subscriptions: Vec<SubscriptionEntry>,
    #[prost(message, optional, tag = "5")]
    pub(super) long_polling_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum Language {
    Unspecified = 0,
    Rust = 5,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct UserAgent {
    #[prost(enumeration = "Language", tag = "1")]
    pub(super) language: i32,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Settings {
    #[prost(enumeration = "ClientType", optional, tag = "1")]
    pub(super) client_type: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(super) access_point: Option<Endpoints>,
    #[prost(message, optional, tag = "4")]
    pub(super) request_timeout: Option<Duration>,
    #[prost(message, optional, tag = "6")]
    pub(super) subscription: Option<Subscription>,
    #[prost(message, optional, tag = "7")]
    pub(super) user_agent: Option<UserAgent>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TelemetryCommand {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(message, optional, tag = "2")]
    pub(super) settings: Option<Settings>,
}
