//! Words of several families in Chinese.

pub use crate::chinese::removal;
use crate::sightings::Act;

/// [`Act::words`] in Chinese.
pub fn act(act: Act) -> &'static str {
    match act {
        Act::Login => "登录",
        Act::ConfigRead => "读取配置",
        Act::ConfigListen => "监听配置",
        Act::ConfigPublish => "发布配置",
        Act::ServiceQuery => "查询实例列表",
        Act::Subscribe => "订阅服务",
        Act::Beat => "发送心跳",
        Act::Register => "注册实例",
        Act::Deregister => "注销实例",
        Act::Admin => "使用管理 API",
        Act::OtherHttp => "调用其他 HTTP API",
        Act::OtherGrpc => "通过 gRPC 调用",
        Act::Connect => "通过 gRPC 连接",
        Act::Unregistered => "未建立会话就通过 gRPC 调用",
        Act::Refused => "被拒绝",
    }
}
