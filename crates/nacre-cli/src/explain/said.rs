//! What people paste besides metrics: lines of logs, texts of exceptions, sentences. Their phrases are in `table/messages.txt`,
//! `table/clients.txt` and `table/questions.txt`.

use super::{Entry, Lang, Table};

/// Entries that are shown of one question.
const SHOWN: usize = 2;
/// Characters of a question that are looked at.
const LONGEST: usize = 16 * 1024;

/// Small letters and figures, with one blank for everything between.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars().take(LONGEST).flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            folded.push(c);
        } else if !folded.is_empty() && !folded.ends_with(' ') {
            folded.push(' ');
        }
    }
    folded.truncate(folded.trim_end().len());
    folded
}

/// One phrase: every part has to be there, each in one of its spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phrase(Vec<Vec<String>>);

impl Phrase {
    pub fn read(text: &str) -> Self {
        Self(text.split(" & ").map(|part| part.split('/').map(fold).collect()).collect())
    }

    /// How much of a folded text it accounts for; `None` where it does not fit.
    fn weight(&self, folded: &str) -> Option<usize> {
        self.0
            .iter()
            .map(|part| part.iter().filter(|word| has(folded, word)).map(|word| word.chars().count()).max())
            .sum()
    }
}

/// Whether the words are there; letters of the alphabet begin at the beginning of a word, or `port` is found in `support`.
fn has(folded: &str, words: &str) -> bool {
    let inside = |at: usize| folded[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
    let latin = words.starts_with(|c: char| c.is_ascii_alphanumeric());
    !words.is_empty() && folded.match_indices(words).any(|(at, _)| !latin || !inside(at) || words == "beat")
}

impl Table {
    /// Lines of logs and exceptions that the text has, the ones that account for most of it first; without any of them, and
    /// where `sentence` allows, what people ask.
    pub fn said(&self, text: &str, sentence: bool) -> Vec<&Entry> {
        let folded = fold(text);
        let fitting = |questions: bool| {
            let mut fitting: Vec<(usize, &Entry)> = self
                .messages
                .iter()
                .filter(|entry| (entry.kind == "question") == questions)
                .filter_map(|entry| {
                    let weight = entry.phrases.iter().filter_map(|phrase| phrase.weight(&folded)).max()?;
                    Some((weight, entry))
                })
                .collect();
            fitting.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
            fitting.into_iter().map(|(_, entry)| entry).take(SHOWN).collect::<Vec<_>>()
        };
        let lines = fitting(false);
        if lines.is_empty() && sentence { fitting(true).into_iter().take(1).collect() } else { lines }
    }
}

/// Names in what was pasted, so that commands can be copied as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub address: Option<String>,
    pub port: Option<String>,
    pub data_id: Option<String>,
    pub group: Option<String>,
}

impl Names {
    pub fn read(text: &str) -> Self {
        let first = |pattern: &str| {
            let found = regex_lite::Regex::new(pattern).ok()?.captures(text)?;
            let part = |n: usize| found.get(n).map(|part| part.as_str().to_owned());
            Some((part(1)?, part(2)))
        };
        const IP: &str = r"\b((?:\d{1,3}\.){3}\d{1,3})";
        let mut names = Self::default();
        // `ip='10.0.0.5', port=8080`, `"port":8080,"ip":"10.0.0.5"`, `10.0.0.5:8080`, `10.0.0.5#8080#DEFAULT`.
        let field = |name: &str, value: &str| format!(r#"(?i)\b{name}["']?\s*[=:]\s*["']?{value}"#);
        if let Some((ip, _)) = first(&field("ip", r"((?:\d{1,3}\.){3}\d{1,3})")) {
            names.address = Some(ip);
            names.port = first(&field("port", r"(\d{1,5})\b")).map(|(port, _)| port);
        } else if let Some((ip, port)) = first(&format!(r"{IP}[:#](\d{{1,5}})\b")) {
            (names.address, names.port) = (Some(ip), port);
        } else if let Some((ip, _)) = first(&format!(r"{IP}\b")) {
            names.address = Some(ip);
        }
        names.data_id =
            first(&field("dataId", r#"\[?([\w.:-]+)"#)).or_else(|| first(r"dataId\[([^\]]+)\]")).map(|one| one.0);
        names.group =
            first(&field("group", r#"\[?([\w.:-]+)"#)).or_else(|| first(r"group\[([^\]]+)\]")).map(|one| one.0);
        names
    }

    /// A step with the names in place of the words that stand for them.
    pub fn fill(&self, step: &str) -> String {
        let mut step = step.to_owned();
        if let (Some(address), Some(port)) = (&self.address, &self.port) {
            step = step.replace("IP:PORT", &format!("{address}:{port}"));
        } else if let Some(address) = &self.address {
            step = step.replace("doctor instance IP:PORT", &format!("doctor address {address}"));
        }
        if let Some(address) = &self.address {
            step = step.replace("CLIENT-IP", address);
        }
        for (word, name) in [("DATA_ID", &self.data_id), ("GROUP", &self.group)] {
            if let Some(name) = name {
                step = step.replace(word, name);
            }
        }
        step
    }
}

/// How the findings that were looked for are introduced.
pub const fn head(found: bool, lang: Lang) -> &'static str {
    if found {
        lang.pick("Open findings of this server that fit", "该服务端上与此相关的未恢复诊断")
    } else {
        lang.pick(
            "No open finding of this server fits: ask it again while the trouble lasts.",
            "该服务端当前没有与此相关的诊断：请在故障持续时再问。",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{super::TABLE, *};

    fn first(text: &str) -> String {
        let found = TABLE.said(text, true);
        found.first().map_or(String::new(), |entry| entry.title.clone())
    }

    #[test]
    fn lines_of_clients_and_servers_find_their_entry() {
        for (line, entry) in [
            (
                "com.alibaba.nacos.api.exception.NacosException: Client not connected, current status:STARTING",
                "current status starting",
            ),
            ("ErrCode:-401, ErrMsg:Client not connected,current status:UNHEALTHY", "current status unhealthy"),
            (
                "Server check fail, please check server 10.0.0.9 ,port 9848 is available , error ={}",
                "server check fail",
            ),
            ("io.grpc.StatusRuntimeException: UNAVAILABLE: io exception", "unavailable io exception"),
            ("rpc error: code = Unavailable desc = connection error", "unavailable io exception"),
            ("java.util.concurrent.TimeoutException: Waited 3000 milliseconds", "deadline exceeded"),
            (
                "failed to req API:/nacos/v1/ns/instance after all servers([127.0.0.1:8848]) tried: ErrCode:500",
                "failed to req",
            ),
            (
                "[CLIENT-BEAT] failed to send beat: {\"port\":8080,\"ip\":\"10.0.0.5\"}, code: 500, msg: ",
                "failed to send beat",
            ),
            (
                "{IP-DISABLED} valid: 10.0.0.5:8080@DEFAULT, region: unknown, msg: client timeout after 15000",
                "ip disabled",
            ),
            ("[AUTO-DELETE-IP] service: demo, ip: {\"ip\":\"10.0.0.5\",\"port\":8080}", "auto delete ip"),
            ("[PUSH-FAIL] 5002ms, Service{}, reason=timeout, target=10.0.0.9", "push fail"),
            ("server is DOWNnow, detailed error message: Optional[...]", "server is down now"),
            ("The Raft Group [naming_persistent_service_v2] did not find the Leader node", "leader node"),
            ("NACOS-RAFT beat failed: 500, peer: 10.0.0.3:8848", "beat failed"),
            ("authorization failed!", "authorization failed"),
            ("failed to request, jmenv.tbsite.net", "jmenv"),
            (
                "Current service DEFAULT_GROUP@@demo is ephemeral service, can't register persistent instance.",
                "is ephemeral service",
            ),
            ("Param 'Metadata' is illegal, the param length should not exceed 1024.", "should not exceed"),
            ("java.io.IOException: No space left on device", "no space left"),
            (
                "Ignore the empty nacos configuration and get it based on dataId[a.yaml] & group[G]",
                "config data not exist",
            ),
        ] {
            assert!(first(line).contains(entry), "{line}: {}", first(line));
        }
    }

    /// As people pasted them; the numbers are those of alibaba/nacos where no other repository stands.
    #[test]
    fn what_people_pasted_finds_its_entry() {
        for (line, entry) in [
            ("caused: invalid probeModify;", "invalid probemodify"), // #8683
            ("c.a.n.client.config.impl.ClientWorker - get changedGroupKeys:[]", "get changedgroupkeys"), // #3423
            ("[polling-resp] config changed. dataId=a.yaml, group=DEFAULT_GROUP", "get changedgroupkeys"), // #2701
            ("[server-push] config changed. dataId=a, group=G,tenant=t", "get changedgroupkeys"), // #9958, #13482
            (
                "caused: instance not exist: 172.26.59.85:8030:unknown:DEFAULT_1.0_true_false_DEFAULT;",
                "service not found", // #8470
            ),
            (
                "service not found, namespace: public, service: Service{namespace='public', group='DEFAULT_GROUP', name='x'}",
                "service not found", // #8101
            ),
            ("caused: no ips found for cluster DEFAULT in service DEFAULT_GROUP@@nacos.test.3;", "service not found"), // #10949
            ("code:400 msg: dom not found: DEFAULT_GROUP@@providers:com.sx.api.OrderAPI", "service not found"), // #2083
            ("[do-sync-req] 121.36.31.116:8848 maybe down, no server is currently available", "all server are not"), // sdk-python #6
            (
                "Required request parameter 'dataId' for method parameter type String is not present",
                "required request parameter", // #14066
            ),
            ("提示导入失败 未读取到合法数据，请检查导入的数据文件", "metadataitem is null"), // #13507
            ("{\"code\":100005,\"message\":\"导入的文件数据为空\",\"data\":{}}", "metadataitem is null"), // #7916
            (
                "java.net.ConnectException: no available server, currentServerAddr : http://10.42.2.154:8848",
                "failed to req",
            ), // #6377
            ("[NA] failed to update serviceName: localhost", "failed to update servicename"), // #2672
            ("ErrCode:-503, ErrMsg:More than client-side current limit threshold", "more than client side"),
            ("http request failed: 429 Too Many Requests", "more than client side"),
            (
                "java.lang.NullPointerException: null at com.alibaba.nacos.client.naming.net.NamingProxy.reqApi",
                "nullpointerexception",
            ),
            ("No server list provider found, SPI load size: 0", "server list provider"),
            ("current ips:(0) service: DEFAULT_GROUP@@svc -> []", "current ips"),
            ("wrong group name prefix of instance service name! it should be: DUBBO_GROUP", "wrong group name"), // #11503
            ("cluster name can only have these characters: 0-9a-zA-Z-, current: a_b", "can only have these"), // #1646
            (
                "dom name can only have these characters: 0-9a-zA-Z.:_-; current: DEFAULT_GROUP@@service-consumer",
                "can only have these", // nacos-examples #23
            ),
            ("Param 'serviceName' is illegal, serviceName is blank", "servicename is blank"), // #5448, sdk-go #868
            (
                "create config service error!properties=NacosConfigProperties{serverAddr='null'}",
                "create config service",
            ), // spring-cloud-alibaba #998
            ("No spring.config.import property has been defined", "create config service"), // spring-cloud-alibaba #3421
            ("parse data from Nacos error,dataId:ms-console-dev.yml,data:spring:", "parse data from nacos"), // spring-cloud-alibaba #1055
            ("nacos registry, produce-service register failed...NacosRegistration{}", "nacos registry"),     // #2141
            ("java.lang.RuntimeException: publish nacos metadata failed", "publish single"),                 // #10044
            (
                "[NACOS SocketTimeoutException httpPost] currentServerAddr: http://192.168.0.140:8848， err : Read timed out",
                "sockettimeoutexception", // #3958
            ),
            ("ErrResponse(None, 500, 302, Some(\"RequestHandler Not Found\"))", "requesthandler not found"), // sdk-rust #181
            ("Serialization(Error(\"missing field `serviceInfo`\", line: 1, column: 78))", "missing field serviceinfo"), // sdk-rust #149
            ("IllegalArgumentException: Invalid character found in method name [0x160x03]", "invalid character found"),
            ("io.grpc.netty.Http2Exception: First received frame was not SETTINGS.", "client preface"),
            (
                "Try to reconnect to a new server, server is not appointed, will choose a random server.",
                "try to reconnect",
            ),
            ("IllegalStateException: unable to find ackEntry for key: 10.42.8.221,34674", "unable to find ackentry"), // #6377
            (
                "[NACOS-API] failed to added push client ClientInfo@1c736671, resolve_failed:45323",
                "unable to find ackentry",
            ), // #7442
            ("health check is still working, service: DEFAULT_GROUP@@s, cluster: DEFAULT", "health check is still"), // #11870
        ] {
            assert!(first(line).contains(entry), "{line}: {}", first(line));
        }
    }

    #[test]
    fn a_server_of_java_that_does_not_start_says_why_in_its_log() {
        for (line, entry) in [
            (
                "Nacos Server did not start because dumpservice bean construction failure :\nerrCode: -400, errMsg: parameter is invalid.",
                "dumpservice",
            ),
            ("Unknown column 'encrypted_data_key' in 'field list'", "unknown column"),
            ("Table 'nacos.config_info_gray' doesn't exist", "unknown column"),
            (
                "com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure",
                "communications link",
            ),
            ("ERROR XSDB6: Another instance of Derby may have already booted the database /d.", "derby"),
            ("the length of secret key must great than or equal 32 bytes", "secret key"),
            ("启动失败，提示 secret.key 不能为空", "secret key"),
            ("java.lang.UnsatisfiedLinkError: /tmp/librocksdbjni1.so: ld-linux-x86-64.so.2", "unsatisfiedlinkerror"),
            ("Web server failed to start. Port 8848 was already in use.", "was already in use"),
            ("Data truncation: Data too long for column 'content' at row 1", "data too long"),
            ("java.io.IOException: User limit of inotify instances reached or too many open files", "inotify"),
            (
                "NacosBootstrap has been compiled by a more recent version of the Java Runtime",
                "unsupportedclassversion",
            ),
            ("java.lang.OutOfMemoryError: GC overhead limit exceeded", "outofmemory"),
            ("[abc] Fail to connect server, after trying 3 times, last try server is {}", "unavailable io exception"),
        ] {
            assert!(first(line).contains(entry), "{line}: {}", first(line));
        }
    }

    #[test]
    fn sentences_are_led_to_a_command_in_both_languages() {
        for (text, entry) in [
            ("Has anybody seen a Nacos client that stops sending heartbeats?", "beat/heartbeat"),
            ("my client sends no beats", "beat/heartbeat"),
            ("客户端不发心跳", "beat/heartbeat"),
            ("my instance disappears from the list after 30 seconds", "instance/service"),
            ("实例每隔一会儿就掉线", "instance/service"),
            ("config change is not pushed to the client", "config/configuration & change"),
            ("修改了配置但是没有生效", "config/configuration & change"),
            ("gRPC 端口连不上", "grpc/9848"),
            ("nacos 集群 raft 选不出 leader", "leader node"),
            ("服务注册不上", "not registered"),
            ("nacos控制台元数据修改后重启没有更新", "metadata"), // #12713
            ("nacos caches metadata when manually offline instances", "metadata"), // #13131
            ("保护阈值是什么", "protect"),
            ("为什么不健康的实例还能被调用", "protect"), // #11123
            ("权重不生效", "weight"),
            ("配置中文乱码", "garbled"),
            ("导入配置失败", "import"),
            ("how to roll back a config", "rollback"),
            ("灰度发布不生效", "beta"),
            ("订阅者列表为空", "subscriber"),
            ("ephemeral false 实例无法删除", "persistent"),
            ("dubbo consumer: No provider available", "no provider"),
            ("实例列表一会有一会没有", "instance/service"), // #5859
        ] {
            assert!(first(text).contains(entry), "{text}: {}", first(text));
        }
        assert!(TABLE.said("what is this", true).is_empty());
        assert!(TABLE.said("my client sends no beats", false).is_empty());
    }

    #[test]
    fn commands_get_the_names_of_the_line() {
        for (text, address) in [
            ("Instance{instanceId='null', ip='10.0.0.5', port=8080, weight=1.0}", "10.0.0.5:8080"),
            ("{\"port\":8080,\"ip\":\"10.0.0.5\",\"weight\":1.0}", "10.0.0.5:8080"),
            ("valid: 10.0.0.5:8080@DEFAULT", "10.0.0.5:8080"),
            ("10.0.0.5#8080#DEFAULT#DEFAULT_GROUP@@demo", "10.0.0.5:8080"),
        ] {
            assert_eq!(
                Names::read(text).fill("nacre doctor instance IP:PORT"),
                format!("nacre doctor instance {address}")
            );
        }
        assert_eq!(
            Names::read("from 10.0.0.5 again").fill("nacre doctor instance IP:PORT"),
            "nacre doctor address 10.0.0.5"
        );
        let names = Names::read("get config dataId=a.yaml, group=G, tenant=dev");
        assert_eq!(names.fill("dataId=DATA_ID&group=GROUP"), "dataId=a.yaml&group=G");
        assert_eq!(Names::read("nothing").fill("IP:PORT"), "IP:PORT");
    }
}
