//! Events in Chinese, as evidence of findings. What an event holds as text (a reason, an answer, a name) is quoted as it was
//! said.

use nacre_journal::{Doubt, describe, duration};
use nacre_model::{
    Cause, Event, Subject,
    event::{Disconnect, Removal},
};

use crate::Line;

/// What an event says, with its subject in front, in both languages.
pub fn event(event: &Event) -> Line {
    let (subject, mut text) = (subject(&event.subject), sentence(&event.cause));
    if let Cause::InstanceRemoved { removal: Removal::ReplacedBy { .. } } = &*event.cause
        && !event.subject.client_text().is_some_and(|client| client.contains('#'))
    {
        text.push_str("；一个连接在一个服务中只有一个地址，多个地址须批量注册");
    }
    Line { en: describe(event), zh: if subject.is_empty() { text } else { format!("{subject}：{text}") } }
}

/// Why a list of the past may be wrong.
pub fn doubt(doubt: &Doubt) -> String {
    match doubt {
        Doubt::NotSaved { count, last } => format!("有 {count} 条事件（至编号 {last}）没有保存"),
        Doubt::Damaged(bytes) => format!("日志文件有 {bytes} 字节损坏"),
        Doubt::WorkUsedUp => "本次查询的工作量已用尽；请缩短时间范围".to_owned(),
        Doubt::LaterVersion(count) => format!("略过了 {count} 条更高版本写入的事件"),
        Doubt::MemoryOnly => "日志只在内存中（nacre.journal.disk.enabled），列表由其中现有的事件得出".to_owned(),
        Doubt::BeforeFirstList => "该时刻早于所保存的第一份列表，列表由之后的事件推出".to_owned(),
    }
}

fn subject(subject: &Subject) -> String {
    let mut parts = Vec::new();
    if let Some(instance) = &subject.instance {
        parts.push(format!("实例 {instance}"));
    }
    if let Some(service) = &subject.service {
        parts.push(format!("服务 {}@@{}（命名空间 {}）", service.group, service.name, service.namespace));
    }
    if let Some(config) = &subject.config {
        parts.push(format!("配置 {}（分组 {}，命名空间 {}）", config.data_id, config.group, config.namespace));
    }
    if let Some(client) = &subject.client {
        parts.push(format!("客户端 {client}"));
    }
    parts.join("，")
}

/// `what：“text”`, or `what` when there is no text.
fn quoted(what: &str, text: &str) -> String {
    if text.is_empty() { what.to_owned() } else { format!("{what}：“{text}”") }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "（无）" } else { text }
}

fn join(parts: &[String]) -> String {
    parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("，")
}

/// `prefix text`, or nothing when there is no text.
fn with(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix} {text}") }
}

fn sentence(cause: &Cause) -> String {
    use Cause as C;
    match cause {
        C::ClientConnected { version, module, app } => {
            format!("已连接：{}", join(&[version.to_string(), with("模块", module), with("应用", app)]))
        }
        C::HandshakeRefused { reason } => quoted("握手被拒绝", reason),
        C::ClientDisconnected { cause, lived_ms } => {
            format!("已断开：{}，连接存活 {}", disconnect(cause), duration(*lived_ms))
        }
        C::ClientReset { target } => join(&["被要求重连到其他服务器".to_owned(), with("目标", target)]),
        C::TransportShared { version } => {
            format!("多个客户端共用一个连接：{version} 建立了第二个流，推送现在走那里；中间是否有 HTTP/2 代理？")
        }
        C::BeatLate { gap_ms, expected_ms } => {
            format!("心跳迟到：{} 没有动静，应每 {} 一次", duration(*gap_ms), duration(*expected_ms))
        }
        C::BeatResumed { gap_ms } => format!("心跳恢复：此前静默 {}", duration(*gap_ms)),
        C::BeatUnknownInstance { light, from } => {
            let done = if *light {
                "轻量心跳不含实例，已告知客户端重新注册"
            } else {
                "已用完整心跳重新注册"
            };
            format!("未知实例的心跳：{}", join(&[with("发送者", from), done.to_owned()]))
        }
        C::BeatMismatch { field, expected, got } => {
            format!("心跳与实例不符：{field} 是 {expected:?}，心跳说 {got:?}")
        }
        C::InstanceRegistered { how, replaced: true } => quoted("重新注册", how),
        C::InstanceRegistered { how, replaced: false } => quoted("已注册", how),
        C::InstanceUnhealthy { cause, silent_ms, .. } => {
            let silent = if *silent_ms == 0 { String::new() } else { format!("已静默 {}", duration(*silent_ms)) };
            join(&[quoted("变为不健康", cause), silent])
        }
        C::InstanceHealthy { cause } => quoted("变为健康", cause),
        C::InstanceRemoved { removal } => format!("已移除：{}", self::removal(removal)),
        C::InstanceShadowed { by } => format!("被第二个客户端发布：{by} 发布了相同的 ip、端口和集群"),
        C::OperatorMetadata { enabled, weight } => {
            format!("被运维人员修改：{}，权重 {weight}", if *enabled { "启用" } else { "停用" })
        }
        C::NothingChanged { call, reason } => quoted(&format!("{call} 已接受，什么都没有改变"), reason),
        C::Refused { call, code, reason } => quoted(&format!("{call} 被以 {code} 拒绝"), reason),
        C::Suspicious { call, reason } => quoted(&format!("{call} 已执行，但看起来不对"), reason),
        other => service_and_below(other),
    }
}

/// Services, pushes and configs.
fn service_and_below(cause: &Cause) -> String {
    use Cause as C;
    match cause {
        C::ServiceCreated { by } => quoted("服务已创建", by),
        C::ServiceUpdated => "服务设置已修改".to_owned(),
        C::ServiceRemoved { by } => quoted("服务已删除", by),
        C::ProtectionReached { healthy, total, threshold } => {
            format!("达到保护阈值：{total} 个实例中 {healthy} 个健康，阈值为 {threshold}；全部按健康返回")
        }
        C::ProtectionCleared => "保护阈值解除：健康的实例又足够了".to_owned(),
        C::BrakeOn { expiring, total } => {
            format!("暂缓移除：{total} 个实例中有 {expiring} 个将同时过期，看起来像网络或本服务器的故障")
        }
        C::BrakeOff => "恢复移除".to_owned(),
        C::Subscribed => "已订阅变更".to_owned(),
        C::Unsubscribed => "已取消订阅".to_owned(),
        C::PushSent { request } => format!("已推送 {request}"),
        C::PushAcked { latency_ms } => format!("推送已确认：{} 后", duration(*latency_ms)),
        C::PushFailed { reason, attempt } => quoted(&format!("推送失败，第 {attempt} 次"), reason),
        C::PushGaveUp { attempts } => format!("放弃推送：{attempts} 次都没有确认"),
        C::ConfigPublished { md5, by, from, gray } => {
            let what =
                if gray.is_empty() { "配置已发布".to_owned() } else { format!("灰度版本 {gray} 已发布") };
            format!("{what}：{}", join(&[format!("md5 {md5}"), with("用户", by), with("来自", from)]))
        }
        C::ConfigRemoved { by, from, gray } => {
            let what =
                if gray.is_empty() { "配置已删除".to_owned() } else { format!("灰度版本 {gray} 已删除") };
            join(&[what, with("用户", by), with("来自", from)])
        }
        C::CasConflict { expected, actual } => {
            format!("因 md5 条件拒绝发布：调用者以为是 {}，配置是 {}", or_none(expected), or_none(actual))
        }
        C::ListenerNotified { latency_ms } => format!("监听者已获通知：变更后 {}", duration(*latency_ms)),
        C::ListenerStale { md5 } => format!("监听者内容陈旧：获通知后仍为 {}", or_none(md5)),
        C::NamespaceChanged { id, what } => quoted(&format!("命名空间 {id} 已修改"), what),
        other => server(other),
    }
}

/// Consensus, store and the process itself.
fn server(cause: &Cause) -> String {
    use Cause as C;
    match cause {
        C::LeaderElected { term, node } => format!("选出领导者：任期 {term} 的节点 {node}"),
        C::LeaderLost { reason } => quoted("失去领导者", reason),
        C::LeaderBeatFailed { peer, reason } => quoted(&format!("领导者无法联系节点 {peer}"), reason),
        C::FsyncSlow { ms } => format!("磁盘慢：一次日志 fsync 用了 {}，所有持久写入都在等", duration(*ms)),
        C::WriteFailed { reason } => quoted("持久写入失败", reason),
        C::WriteRecovered { failing_ms } => format!("持久写入恢复：失败持续了 {}", duration(*failing_ms)),
        C::LogTailCut { file, bytes } => format!("日志末尾被截掉：{file} 末尾的 {bytes} 字节属于从未确认过的写入"),
        C::SnapshotTaken { index, ms } => format!("数据库检查点：到日志序号 {index}，用时 {}", duration(*ms)),
        C::LogPurged { upto } => format!("日志已清理：到序号 {upto}"),
        C::StorePoisoned { reason } => quoted("重启之前停止写入", reason),
        C::StoreRecovered { tries } => format!("数据库又可以写入：失败 {tries} 次之后"),
        C::LimitHit { limit, value } => format!("达到上限“{limit}”：{value}"),
        C::ServerStalled { ms } => {
            format!("服务器停顿：本进程有 {} 没有运行；这段时间不计入客户端", duration(*ms))
        }
        C::ClockStepped { by_ms } => {
            let way = if *by_ms < 0 { "向后" } else { "向前" };
            format!("时钟跳变：{way} {}", duration(by_ms.unsigned_abs()))
        }
        C::ServerStarted { version } => join(&["服务器已启动".to_owned(), with("版本", version)]),
        C::ServerStopping { reason } => quoted("服务器正在停止", reason),
        C::WorkerRestarted { worker, reason } => quoted(&format!("工作任务 {worker} 已重新启动"), reason),
        C::SwitchChanged { entry, value } => format!("开关 {entry} 已改为 {value}"),
        C::SettingChanged { key, value, by } => format!("{key} 已改为 {value}，来自 {by}"),
        C::SettingRefused { key, reason } => quoted(&format!("对 {key} 的修改被拒绝"), reason),
        C::ConfigsReloaded { changed } => format!("已从数据库重新读取配置：{changed} 个与所提供的不同"),
        C::UnknownProtocol { first_bytes } => format!("未知协议：连接以 {first_bytes} 开始"),
        C::JournalTailCut { file, bytes } => {
            format!("事件日志末尾被截掉：{file} 末尾的 {bytes} 字节在进程结束时只写了一半")
        }
        C::JournalDamaged { file, bytes } => {
            format!("事件日志损坏：{file} 中有 {bytes} 字节不是写入的内容；完好的部分仍会读取")
        }
        C::JournalDiskFailed { reason } => quoted("事件日志没有保存到磁盘，内存中继续", reason),
        C::JournalDiskRecovered { lost } => format!("事件日志又保存到磁盘：其间 {lost} 个事件不在磁盘上"),
        C::TracesUndelivered { endpoint, reason } => quoted(&format!("链路追踪无法送达 {endpoint}"), reason),
        C::TracesDelivered { lost } => format!("链路追踪恢复送达：其间丢失 {lost} 个 span"),
        C::FindingAppeared { code, id, severity, cause } => quoted(&format!("{severity} 发现 {code}（{id}）"), cause),
        C::FindingCleared { code, id, lasted_ms } => {
            format!("发现 {code}（{id}）已消除：持续 {}", duration(*lasted_ms))
        }
        // Everything above: listed so that a new variant does not compile without its sentence.
        C::ClientConnected { .. }
        | C::HandshakeRefused { .. }
        | C::ClientDisconnected { .. }
        | C::ClientReset { .. }
        | C::TransportShared { .. }
        | C::BeatLate { .. }
        | C::BeatResumed { .. }
        | C::BeatUnknownInstance { .. }
        | C::BeatMismatch { .. }
        | C::InstanceRegistered { .. }
        | C::InstanceUnhealthy { .. }
        | C::InstanceHealthy { .. }
        | C::InstanceRemoved { .. }
        | C::InstanceShadowed { .. }
        | C::OperatorMetadata { .. }
        | C::NothingChanged { .. }
        | C::Refused { .. }
        | C::Suspicious { .. }
        | C::ServiceCreated { .. }
        | C::ServiceUpdated
        | C::ServiceRemoved { .. }
        | C::ProtectionReached { .. }
        | C::ProtectionCleared
        | C::BrakeOn { .. }
        | C::BrakeOff
        | C::Subscribed
        | C::Unsubscribed
        | C::PushSent { .. }
        | C::PushAcked { .. }
        | C::PushFailed { .. }
        | C::PushGaveUp { .. }
        | C::ConfigPublished { .. }
        | C::ConfigRemoved { .. }
        | C::CasConflict { .. }
        | C::ListenerNotified { .. }
        | C::ListenerStale { .. }
        | C::NamespaceChanged { .. } => cause.kind().to_owned(),
    }
}

/// Why a connection ended.
fn disconnect(cause: &Disconnect) -> String {
    match cause {
        Disconnect::ClosedByClient => "连接由客户端关闭".to_owned(),
        Disconnect::ResetByPeer => "连接被对端重置（RST）".to_owned(),
        Disconnect::DetectionUnanswered { idle_ms, delivered } => {
            let reached = match delivered {
                Some(true) => "，虽然请求到达了客户端的机器",
                Some(false) => "，请求也从未到达客户端的机器",
                None => "",
            };
            format!("静默 {} 后探测请求没有应答{reached}，连接被关闭", duration(*idle_ms))
        }
        Disconnect::StreamEnded => "客户端结束了它的流".to_owned(),
        Disconnect::OverLimit => "被本服务器关闭：超过连接数上限".to_owned(),
        Disconnect::Unreachable => "连接丢失：客户端一侧没有任何回音".to_owned(),
        Disconnect::ServerShutdown => "被本服务器关闭：正在停机".to_owned(),
        Disconnect::Reloaded => "被运维人员移到其他服务器".to_owned(),
        Disconnect::ProtocolError { detail } => format!("协议错误（{detail}），连接被关闭"),
        Disconnect::PushUnacknowledged { tries } => format!("被本服务器关闭：{tries} 次推送没有确认"),
    }
}

/// Why an instance went.
pub fn removal(removal: &Removal) -> String {
    match removal {
        Removal::Deregistered => "发布者注销了它".to_owned(),
        Removal::BeatExpired { silent_ms, limit_ms } => {
            format!("{} 没有心跳（上限 {}）", duration(*silent_ms), duration(*limit_ms))
        }
        Removal::ConnectionLost { cause, lived_ms } => {
            format!("{}，连接存活 {}", disconnect(cause), duration(*lived_ms))
        }
        Removal::ReplacedBy { instance } => format!("发布者为同一服务注册了 {instance}"),
        Removal::ClientExpired { silent_ms } => format!("其客户端 {} 没有动静，已过期", duration(*silent_ms)),
    }
}

#[cfg(test)]
mod tests {
    use nacre_model::{Cause, Event, Now, Subject};

    use super::*;

    #[test]
    fn an_event_is_told_in_both_languages_and_its_own_words_are_quoted() {
        let now = Now { mono: 0, wall: 0 };
        let refused = Cause::Refused { call: "register".into(), code: 400, reason: "Param 'ip' is illegal".into() };
        let line = event(&Event::new(now, Subject::client("10.0.0.1"), refused));
        assert_eq!(line.en, "client 10.0.0.1: register refused with 400: Param 'ip' is illegal");
        assert_eq!(line.zh, "客户端 10.0.0.1：register 被以 400 拒绝：“Param 'ip' is illegal”");
        let lost = Removal::ConnectionLost { cause: Disconnect::ResetByPeer, lived_ms: 61_000 };
        let key = nacre_model::ServiceKey::new("", "G", "s");
        let subject = Subject::service(&key).with_instance("10.0.0.1:80:DEFAULT");
        let line = event(&Event::new(now, subject, Cause::InstanceRemoved { removal: lost }));
        let zh =
            "实例 10.0.0.1:80:DEFAULT，服务 G@@s（命名空间 public）：已移除：连接被对端重置（RST），连接存活 1 min 1 s";
        assert_eq!(line.zh, zh);
    }
}
