//! Words of several families in Chinese.

use nacre_journal::duration;
use nacre_model::event::Removal;

use crate::sightings::Act;

/// [`nacre_journal::removal`] in Chinese.
pub fn removal(removal: &Removal) -> String {
    match removal {
        Removal::Deregistered => "发布者注销了它".to_owned(),
        Removal::BeatExpired { silent_ms, limit_ms } => {
            format!("{} 没有心跳（上限 {}）", duration(*silent_ms), duration(*limit_ms))
        }
        Removal::ConnectionLost { lived_ms, .. } => format!("其连接在 {} 后结束", duration(*lived_ms)),
        Removal::ReplacedBy { instance } => format!("发布者为同一服务注册了 {instance}"),
        Removal::ClientExpired { silent_ms } => format!("其客户端 {} 没有动静，已过期", duration(*silent_ms)),
    }
}

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
