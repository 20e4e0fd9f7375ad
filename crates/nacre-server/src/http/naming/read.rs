//! How the naming handlers read parameters: v1 by hand (trimmed, `encoding`, its own words for what is missing), v2 and
//! v3 as forms.

use std::{borrow::Cow, ops::Range, str::FromStr, sync::Arc};

use nacre_model::{
    DEFAULT_CLUSTER, DEFAULT_GROUP, Instance, InstanceId, Metadata, NacosError, PUBLIC, ServiceKey, digits,
    key::ServiceNames,
    key::{GROUP_SEPARATOR, split_separator},
};
use nacre_naming::{Naming, check_instance, check_weight, lenient::yes, parse_metadata};

use crate::http::{
    Ctx,
    bind::{self, Form, Java, Number, field_missing},
    params::Params,
    refuse::Refusal,
    table::Generation,
};

/// A double as Java reads one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Double(pub f64);

impl FromStr for Double {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text.trim())
    }
}

impl Number for Double {
    fn read(text: &str) -> Result<Self, String> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        // Numbers that are none, and too large ones: Java reads them, and the range of weights refuses them.
        if matches!(unsigned, "NaN" | "Infinity") {
            return Ok(Self(f64::NAN));
        }
        f64::read(text).map(Self)
    }
}

/// Without blanks and control characters around, as Java trims.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// A number as Java keeps it in single precision.
pub fn single(number: f64) -> f64 {
    (number as f32).to_string().parse().unwrap_or(number)
}

/// Java's text for text that is no number.
pub fn no_number(text: &str) -> NacosError {
    NacosError::invalid(format!("For input string: \"{text}\""))
}

/// Reads the parameters of v1.
pub struct V1<'a> {
    ctx: &'a Ctx,
    /// Only when the request names an encoding that exists and is not UTF-8.
    encoding: Option<&'static encoding_rs::Encoding>,
}

impl<'a> V1<'a> {
    pub fn new(ctx: &'a Ctx) -> Self {
        let named = ctx.params.first("encoding").and_then(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
        Self { ctx, encoding: named.filter(|encoding| *encoding != encoding_rs::UTF_8) }
    }

    fn resolve(&self, value: &'a str) -> Cow<'a, str> {
        match self.encoding {
            None => Cow::Borrowed(trimmed(value)),
            // The reference takes the UTF-8 bytes for text of that encoding.
            Some(encoding) => {
                let (text, _, _) = encoding.decode(value.as_bytes());
                Cow::Owned(trimmed(&text).to_owned())
            }
        }
    }

    pub fn required(&self, name: &str) -> Result<Cow<'a, str>, NacosError> {
        let value = self.ctx.params.first(name).filter(|value| !value.is_empty());
        value.map(|value| self.resolve(value)).ok_or_else(|| bind::param_required(name))
    }

    pub fn optional(&self, name: &str) -> Option<Cow<'a, str>> {
        self.ctx.params.first_non_blank(name).map(|value| self.resolve(value))
    }

    pub fn or(&self, name: &str, default: &'static str) -> Cow<'a, str> {
        self.optional(name).unwrap_or(Cow::Borrowed(default))
    }

    pub fn port(&self) -> Result<i32, NacosError> {
        let port = self.required("port")?;
        digits::plain(&port).parse().map_err(|_| no_number(&port))
    }

    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, NacosError> {
        match self.optional(name) {
            Some(text) => digits::plain(&text).parse().map_err(|_| no_number(&text)),
            None => Ok(default),
        }
    }

    /// Digits of other scripts are none in Java's fractions.
    pub fn decimal(&self, name: &str, default: f64) -> Result<f64, NacosError> {
        match self.optional(name) {
            Some(text) => Ok(text.parse::<Double>().map_err(|_| no_number(&text))?.0),
            None => Ok(default),
        }
    }

    pub fn truth(&self, name: &str) -> Option<bool> {
        self.optional(name).map(|text| yes(&text))
    }

    /// Only `true` in any case.
    pub fn strict_truth(&self, name: &str) -> bool {
        self.optional(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    pub fn namespace(&self) -> Cow<'a, str> {
        self.or("namespaceId", PUBLIC)
    }

    /// `serviceName` as the name filter left it: grouped.
    pub fn service(&self) -> Result<ServiceKey, NacosError> {
        let namespace = self.namespace();
        let name = self.required("serviceName")?;
        grouped_key(&namespace, &name)
    }

    /// The same where no form is asked for: a blank name is a service without group and name.
    pub fn any_service(&self) -> Result<ServiceKey, NacosError> {
        let name = self.required("serviceName")?;
        let (group, name) = if name.is_empty() { ("", "") } else { ServiceKey::split_grouped(&name) };
        Ok(ServiceKey::new(&self.namespace(), group, name))
    }

    /// The instance of POST, PUT and DELETE. The id is that of a registration.
    pub fn instance(&self, naming: &Naming) -> Result<Instance, NacosError> {
        self.required("serviceName")?;
        let ip = self.required("ip")?;
        let port = self.port()?;
        let healthy = self.truth("healthy").unwrap_or(true);
        let weight = self.decimal("weight", 1.0)?;
        check_weight(weight)?;
        let enabled = self.truth("enabled").or_else(|| self.truth("enable")).unwrap_or(true);
        let cluster = self.optional("clusterName").or_else(|| self.optional("cluster"));
        let ephemeral = self.truth("ephemeral").unwrap_or_else(|| naming.switches().default_instance_ephemeral);
        Ok(Instance {
            ip: ip.as_ref().into(),
            port,
            weight,
            healthy,
            enabled,
            ephemeral,
            cluster: cluster.as_deref().unwrap_or(DEFAULT_CLUSTER).into(),
            metadata: self.metadata()?.unwrap_or_default(),
            instance_id: InstanceId::Absent,
        })
    }

    /// The `metadata` parameter, parsed; `None` when blank.
    pub fn metadata(&self) -> Result<Option<Arc<Metadata>>, NacosError> {
        let as_sent = |text: &str| trimmed(text).len() == text.len();
        if let (Some(parsed), None) = (&self.ctx.parsed.metadata, self.encoding)
            && self.ctx.params.first("metadata").is_some_and(as_sent)
        {
            return Ok(Some(Arc::clone(parsed)));
        }
        self.optional("metadata").map(|text| parse_metadata(&text).map(Arc::new)).transpose()
    }
}

/// A v1 or v2 key of a grouped name. Both parts are needed; a third one is dropped (Nacos 2.5.1 NamingUtils).
pub fn grouped_key(namespace: &str, grouped: &str) -> Result<ServiceKey, NacosError> {
    check_grouped(grouped)?;
    let (group, name) = ServiceKey::split_grouped(grouped);
    Ok(ServiceKey::new(namespace, group, name))
}

/// `group@@name` with something on both sides.
pub fn check_grouped(name: &str) -> Result<(), NacosError> {
    if let Some((group, rest)) = split_separator(name)
        && !group.is_empty()
        && !rest.is_empty()
        && !rest.starts_with('@')
    {
        return Ok(());
    }
    // Java's split drops empty parts at the end.
    let parts = name.trim_end_matches(GROUP_SEPARATOR).split(GROUP_SEPARATOR).count();
    if parts < 2 {
        let text = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'";
        return Err(NacosError::invalid(text));
    }
    if name.starts_with(GROUP_SEPARATOR) {
        return Err(NacosError::invalid("Param 'serviceName' is illegal, groupName can't be empty"));
    }
    Ok(())
}

/// The service as it is named: neither part may be blank.
pub fn named_key(namespace: &str, group: &str, name: &str) -> Result<ServiceKey, NacosError> {
    for (field, given) in [("serviceName", name), ("groupName", group)] {
        if given.trim().is_empty() {
            return Err(NacosError::invalid(format!("Param '{field}' is illegal, {field} is blank")));
        }
    }
    Ok(ServiceKey::new(namespace, group, name))
}

/// How the generation's calls about instances join group and name: 2.x joins first and splits again, so that a grouped
/// `serviceName` loses its own name; 3.x keeps it.
pub fn joined_key(generation: Generation, namespace: &str, group: &str, name: &str) -> Result<ServiceKey, Refusal> {
    let key = named_key(namespace, group, name)?;
    if generation != Generation::V2 || !name.contains(GROUP_SEPARATOR) {
        return Ok(key);
    }
    // Java's split drops empty parts at the end, and then there is no name.
    if name.trim_start_matches(GROUP_SEPARATOR).is_empty() {
        return Err(Refusal::exception("Index 1 out of bounds for length 1"));
    }
    let grouped = [group, GROUP_SEPARATOR, name].concat();
    let (group, name) = ServiceKey::split_grouped(&grouped);
    Ok(named_key(namespace, group, name)?)
}

/// Namespace, group and name of a form, with their defaults.
fn form_names<'a>(form: &Form<'a>) -> Result<(&'a str, &'a str, &'a str), Refusal> {
    let name = form.required("serviceName")?;
    Ok((form.text("namespaceId", PUBLIC), form.text("groupName", DEFAULT_GROUP), name))
}

/// The service of a form about instances: `serviceName` required, group and namespace with their defaults.
pub fn form_service(form: &Form<'_>) -> Result<ServiceKey, Refusal> {
    let (namespace, group, name) = form_names(form)?;
    joined_key(form.generation, namespace, group, name)
}

/// The service of a form about services, which nobody joins and splits.
pub fn named_form_service(form: &Form<'_>) -> Result<ServiceKey, Refusal> {
    let (namespace, group, name) = form_names(form)?;
    Ok(named_key(namespace, group, name)?)
}

/// The instance form of v2 and v3.
#[derive(Debug)]
pub struct InstanceForm {
    pub service: ServiceKey,
    pub instance: Instance,
    pub metadata: Option<Arc<Metadata>>,
}

impl InstanceForm {
    /// `ephemeral` is the default of that field.
    pub fn read(ctx: &Ctx, generation: Generation, ephemeral: bool) -> Result<Self, Refusal> {
        let form = Form { params: &ctx.params, generation, name: "instanceForm" };
        let port = form.number::<i32>("port", Java::Integer)?;
        let healthy = form.truth("healthy", Java::Boolean)?;
        let weight = form.number::<Double>("weight", Java::Double)?;
        let enabled = form.truth("enabled", Java::Boolean)?;
        let given_ephemeral = form.truth("ephemeral", Java::Boolean)?;
        let service = form_service(&form)?;
        let ip = form.required("ip")?;
        let port = port.ok_or_else(|| field_missing("port", Java::Integer))?;
        let weight = weight.map_or(1.0, |weight| weight.0);
        // 2.x looks at every weight, 3.x at those it is going to keep.
        if generation == Generation::V2 {
            check_weight(weight)?;
        }
        let metadata = form_metadata(ctx)?;
        let instance = Instance {
            ip: ip.into(),
            port,
            weight,
            healthy: healthy.unwrap_or(true),
            enabled: enabled.unwrap_or(true),
            ephemeral: given_ephemeral.unwrap_or(ephemeral),
            cluster: form.text("clusterName", DEFAULT_CLUSTER).into(),
            metadata: metadata.clone().unwrap_or_default(),
            instance_id: InstanceId::Absent,
        };
        Ok(Self { service, instance, metadata })
    }

    /// The rules of registration and update.
    pub fn check(&self) -> Result<(), NacosError> {
        check_weight(self.instance.weight)?;
        check_instance(&self.instance)
    }
}

/// The `metadata` field; `None` when blank.
pub fn form_metadata(ctx: &Ctx) -> Result<Option<Arc<Metadata>>, NacosError> {
    if let Some(parsed) = &ctx.parsed.metadata {
        return Ok(Some(Arc::clone(parsed)));
    }
    ctx.params.non_blank("metadata").map(|text| parse_metadata(text).map(Arc::new)).transpose()
}

/// A part of a list as Java cuts it, with its words for one that ends before it begins.
pub fn cut(start: i64, end: i64) -> Result<Range<usize>, NacosError> {
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(from), Ok(to)) if from <= to => Ok(from..to),
        _ => Err(NacosError::invalid(format!("fromIndex({start}) > toIndex({end})"))),
    }
}

/// Refuses a page of negative size of service names, as the reference does wherever there is anything to cut.
pub fn check_page(number: i64, size: i64, total: usize) -> Result<(), NacosError> {
    let start = number.saturating_sub(1).saturating_mul(size).max(0);
    if size >= 0 || start >= total as i64 { Ok(()) } else { cut(start, start + size).map(drop) }
}

/// `pageNo` and `pageSize` of a v3 page form: from 1, with the default size 100.
pub fn page_form(params: &Params, generation: Generation) -> Result<nacre_naming::Page, Refusal> {
    let form = Form { params, generation, name: "pageForm" };
    let number = form.number::<i32>("pageNo", Java::Int)?.unwrap_or(1);
    let size = form.number::<i32>("pageSize", Java::Int)?.unwrap_or(100);
    for (name, value) in [("pageNo", number), ("pageSize", size)] {
        if value < 1 {
            let text = format!("Required parameter '{name}' should be positive integer, current is {value}");
            return Err(NacosError::invalid(text).into());
        }
    }
    Ok(nacre_naming::Page::new(number.into(), size.into()))
}

/// A service as the reference prints its object.
pub fn service_text(service: &ServiceKey, ephemeral: bool) -> String {
    let ServiceNames { namespace, group, name } = &**service;
    format!("Service{{namespace='{namespace}', group='{group}', name='{name}', ephemeral={ephemeral}, revision=0}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grouped_names_need_both_parts() {
        assert!(check_grouped("G@@s").is_ok());
        assert!(check_grouped("@@s").is_err_and(|e| e.message.ends_with("groupName can't be empty")));
        for name in ["s", "s@@", "@@", "s@@@@"] {
            assert!(check_grouped(name).is_err_and(|e| e.message.contains("it should be format as")), "{name}");
        }
    }

    #[test]
    fn thresholds_have_single_precision() {
        assert_eq!([0.123456789, 0.7, 2.0, -1.0, 1e-3].map(single), [0.12345679, 0.7, 2.0, -1.0, 1e-3]);
    }

    #[test]
    fn a_grouped_name_in_a_form_is_cut_by_2_x_and_kept_by_3_x() {
        let key = |generation, name| joined_key(generation, "", "G", name).map(|key| key.name.to_string());
        assert_eq!(key(Generation::V2, "G@@s"), Ok("G".into()));
        assert_eq!(key(Generation::V3Client, "G@@s"), Ok("G@@s".into()));
        assert_eq!(key(Generation::V2, "@@"), Err(Refusal::exception("Index 1 out of bounds for length 1")));
        assert_eq!(key(Generation::V2, "a@@"), Ok("a".into()));
    }

    #[test]
    fn doubles_are_javas() {
        for (text, number) in [("1", Some(1.0)), ("1.5d", Some(1.5)), ("1e3", Some(1000.0)), ("inf", None), ("x", None)]
        {
            assert_eq!(text.parse::<Double>().ok().map(|d| d.0), number, "{text}");
        }
    }
}
