//! Errors with Nacos's codes. One value, three spellings: adapters turn a [`NacosError`] into v1 text, a v2/v3
//! `Result` body, or a gRPC envelope, each in one place.

use thiserror::Error;

/// Nacos's detailed codes (`code` of v2/v3 bodies), with their generic texts (Nacos 2.5.1/3.1 `ErrorCode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    pub code: i32,
    pub text: &'static str,
}

macro_rules! codes {
    ($($name:ident = $code:literal, $text:literal;)*) => {
        impl ErrorCode {
            $(pub const $name: ErrorCode = ErrorCode { code: $code, text: $text };)*
            /// All of them.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];
        }
    };
}

codes! {
    SUCCESS = 0, "success";
    PARAMETER_MISSING = 10000, "parameter missing";
    ACCESS_DENIED = 10001, "access denied";
    DATA_ACCESS_ERROR = 10002, "data access error";
    TENANT_PARAM_ERROR = 20001, "'tenant' parameter error";
    PARAMETER_VALIDATE_ERROR = 20002, "parameter validate error";
    MEDIA_TYPE_ERROR = 20003, "MediaType Error";
    RESOURCE_NOT_FOUND = 20004, "resource not found";
    RESOURCE_CONFLICT = 20005, "resource conflict";
    CONFIG_LISTENER_IS_NULL = 20006, "config listener is null";
    CONFIG_LISTENER_ERROR = 20007, "config listener error";
    INVALID_DATA_ID = 20008, "invalid dataId";
    PARAMETER_MISMATCH = 20009, "parameter mismatch";
    CONFIG_GRAY_OVER_MAX_VERSION_COUNT = 20010, "config gray version version over max count";
    CONFIG_GRAY_RULE_FORMAT_INVALID = 20011, "config gray rule format invalid";
    CONFIG_GRAY_VERSION_INVALID = 20012, "config gray rule version invalid";
    CONFIG_GRAY_NAME_UNRECOGNIZED_ERROR = 20013, "config gray name not recognized";
    CONFIG_CAPACITY_OVER = 5031, "cluster capacity reach quota";
    SERVICE_NAME_ERROR = 21000, "service name error";
    WEIGHT_ERROR = 21001, "weight error";
    INSTANCE_METADATA_ERROR = 21002, "instance metadata error";
    INSTANCE_NOT_FOUND = 21003, "instance not found";
    INSTANCE_ERROR = 21004, "instance error";
    SERVICE_METADATA_ERROR = 21005, "service metadata error";
    SELECTOR_ERROR = 21006, "selector error";
    SERVICE_ALREADY_EXIST = 21007, "service already exist";
    SERVICE_NOT_EXIST = 21008, "service not exist";
    SERVICE_DELETE_FAILURE = 21009, "service delete failure";
    HEALTHY_PARAM_MISS = 21010, "healthy param miss";
    HEALTH_CHECK_STILL_RUNNING = 21011, "health check still running";
    ILLEGAL_NAMESPACE = 22000, "illegal namespace";
    NAMESPACE_NOT_EXIST = 22001, "namespace not exist";
    NAMESPACE_ALREADY_EXIST = 22002, "namespace already exist";
    ILLEGAL_STATE = 23000, "illegal state";
    NODE_INFO_ERROR = 23001, "node info error";
    NODE_DOWN_FAILURE = 23002, "node down failure";
    SERVER_ERROR = 30000, "server error";
    API_DEPRECATED = 40000, "API deprecated.";
    FUZZY_WATCH_PATTERN_OVER_LIMIT = 50310, "fuzzy watch pattern over limit";
    FUZZY_WATCH_PATTERN_MATCH_COUNT_OVER_LIMIT = 50311, "fuzzy watch pattern matched count over limit";
}

impl ErrorCode {
    /// The code of this number; unknown numbers are [`ErrorCode::SERVER_ERROR`].
    pub fn of(code: i32) -> Self {
        Self::ALL.iter().copied().find(|known| known.code == code).unwrap_or(Self::SERVER_ERROR)
    }
}

/// Codes cross nodes as their number.
impl serde::Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i32(self.code)
    }
}

impl<'de> serde::Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i32::deserialize(deserializer).map(Self::of)
    }
}

/// A refusal or failure in Nacos's words.
#[derive(Clone, Debug, PartialEq, Error, serde::Serialize, serde::Deserialize)]
#[error("{message}")]
pub struct NacosError {
    /// HTTP status of v1/v2/v3, and the `errorCode` of a gRPC `ErrorResponse` (400, 404, 500, ...; -401 exists too).
    pub status: i32,
    /// Detailed code of v2/v3 bodies.
    pub code: ErrorCode,
    /// The specific text: the body of v1 answers, `data` of v2/v3, `message` of gRPC.
    pub message: String,
    /// Nacos throws this one as a *runtime* exception: gRPC and v1 wrap it as `errCode: S, errMsg: M ` (trailing
    /// blank) and v2/v3 answer code 30000 with that text (spec/grpc.md 17.2, spec/naming.md 7.2).
    pub runtime: bool,
}

impl NacosError {
    pub fn new(status: i32, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), runtime: false }
    }

    /// 400 with the code of a parameter that breaks a rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, ErrorCode::PARAMETER_VALIDATE_ERROR, message)
    }

    /// 400: a required parameter is missing, in the words of v2/v3 forms.
    pub fn missing(name: &str) -> Self {
        Self::new(400, ErrorCode::PARAMETER_MISSING, format!("Required parameter '{name}' type String is not present"))
    }

    pub fn not_found(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(404, code, message)
    }

    /// 500: something failed here; `message` says what.
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(500, ErrorCode::SERVER_ERROR, message)
    }

    /// A runtime exception of the reference (see [`NacosError::runtime`]).
    pub fn runtime(status: i32, message: impl Into<String>) -> Self {
        Self { status, code: ErrorCode::SERVER_ERROR, message: message.into(), runtime: true }
    }

    /// The text as clients of v1 and gRPC see it.
    pub fn client_text(&self) -> String {
        if self.runtime { format!("errCode: {}, errMsg: {} ", self.status, self.message) } else { self.message.clone() }
    }
}
