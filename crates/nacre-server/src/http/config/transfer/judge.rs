//! What an archive holds: each file a config, or a name with the reason why it is none.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use nacre_config::{ConfigMeta, ImportItem, check, content};
use nacre_model::{ConfigKey, check as params_check};

use super::{
    super::{metadata, zip},
    words::{Failure, Words, nothing},
};

/// What was found in an archive.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    pub items: Vec<ImportItem>,
    /// Names of what is no config, with the reason unless the name is the reason.
    pub odd: Vec<String>,
    /// How many of them have a reason.
    pub explained: usize,
}

/// Files that packers and desktops leave in archives.
fn is_litter(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    name.starts_with("__MACOSX/") || last == ".DS_Store" || last == "Thumbs.db" || last.starts_with("._")
}

/// Takes off a folder that was packed around everything, known by the metadata inside it.
fn unwrapped(mut entries: Vec<zip::Entry>) -> Vec<zip::Entry> {
    let Some((top, _)) = entries.first().and_then(|entry| entry.name.split_once('/')) else { return entries };
    let top = format!("{top}/");
    let inner = |entry: &zip::Entry| entry.name.strip_prefix(&top).map(str::to_owned);
    let has_metadata = |name: Option<String>| matches!(name.as_deref(), Some(metadata::NEW | metadata::OLD));
    if entries.iter().all(|entry| entry.name.starts_with(&top))
        && entries.iter().any(|entry| has_metadata(inner(entry)))
    {
        for entry in &mut entries {
            entry.name = entry.name[top.len()..].to_owned();
        }
    }
    entries
}

/// Items of the new metadata by group and dataId, each with its place in the list.
type Described<'a> = HashMap<(&'a str, &'a str), (usize, &'a metadata::Item)>;

/// What the metadata of an archive says, found by what it is about: there may be many files, and more that are only named.
struct Said<'a> {
    /// Of several about one config the first counts. `None`: there is no new metadata.
    described: Option<Described<'a>>,
    /// Applications of the old metadata, by their keys.
    applications: HashMap<&'a str, &'a str>,
}

impl<'a> Said<'a> {
    fn new(described: Option<&'a [metadata::Item]>, applications: &'a [(String, String)]) -> Self {
        let by_key = |items: &'a [metadata::Item]| {
            let keyed = |(place, item): (usize, &'a metadata::Item)| ((&*item.group, &*item.data_id), (place, item));
            items.iter().enumerate().rev().map(keyed).collect()
        };
        let applications = applications.iter().rev().map(|(key, app)| (&**key, &**app)).collect();
        Self { described: described.map(by_key), applications }
    }
}

/// Judges the files of an archive.
pub(super) fn judge(bytes: &[u8], namespace: &str, words: Words, settings: &Rules) -> Result<Found, Failure> {
    let entries = zip::read(bytes).ok_or(Failure::Empty(nothing()))?;
    let entries = unwrapped(entries.into_iter().filter(|entry| !is_litter(&entry.name)).collect());
    if entries.is_empty() {
        return Err(Failure::Empty(nothing()));
    }
    let text_of = |name: &str| -> Result<Option<String>, Failure> {
        let Some(entry) = entries.iter().find(|entry| entry.name == name) else { return Ok(None) };
        let data = entry.data.clone().map_err(Failure::BadMetadata)?;
        String::from_utf8(data).map(Some).map_err(|_| Failure::BadMetadata("is no UTF-8".into()))
    };
    let described = match text_of(metadata::NEW)? {
        Some(text) => Some(metadata::read(&text).map_err(Failure::BadMetadata)?),
        None if words != Words::V1 => return Err(Failure::BadMetadata("is not in the archive".into())),
        None => None,
    };
    let applications = match text_of(metadata::OLD)? {
        Some(text) if described.is_none() => metadata::read_old(&text).map_err(Failure::BadMetadata)?,
        _ => Vec::new(),
    };
    let said = Said::new(described.as_deref(), &applications);
    let mut found = Found::default();
    let mut seen: HashSet<(&str, &str)> = HashSet::new();
    for entry in &entries {
        if entry.name == metadata::NEW || entry.name == metadata::OLD {
            continue;
        }
        seen.extend(entry.name.split_once('/'));
        match file(entry, &said, namespace, words, settings) {
            Ok(item) => found.items.push(item),
            Err(odd) => {
                found.explained += usize::from(odd != entry.name);
                found.odd.push(odd);
            }
        }
    }
    if let Some(described) = &said.described {
        // In the metadata's order: what comes first decides over an import that is given up at a conflict.
        let place = |item: &ImportItem| described.get(&(&*item.key.group, &*item.key.data_id)).map(|(place, _)| *place);
        found.items.sort_by_cached_key(place);
    }
    for item in described.iter().flatten().filter(|item| !seen.contains(&(&*item.group, &*item.data_id))) {
        found.explained += 1;
        found.odd.push(words.not_in_file(&format!("{}/{}", item.group, item.data_id)));
    }
    Ok(found)
}

/// What the judgement of names and contents needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub max_content: u64,
    pub param_check: bool,
}

/// One file as a config, or its name with the reason why it is none.
fn file(
    entry: &zip::Entry,
    said: &Said<'_>,
    namespace: &str,
    words: Words,
    rules: &Rules,
) -> Result<ImportItem, String> {
    let name = &entry.name;
    let odd = |reason: &str| format!("{name}: {reason}");
    if !entry.legible {
        return Err(odd("the name is neither UTF-8 nor marked as such"));
    }
    let (group, data_id) = match name.split_once('/') {
        Some((group, data_id)) if !group.is_empty() && !data_id.contains('/') => (group, data_id),
        // As the reference shows it: the bare name.
        _ => return Err(name.clone()),
    };
    let (meta, app) = match &said.described {
        Some(described) => {
            let (_, item) = described.get(&(group, data_id)).ok_or_else(|| words.not_in_metadata(name))?;
            let meta = ConfigMeta {
                config_type: Some(content::config_type(item.config_type.as_deref()).into()),
                desc: item.desc.as_deref().map(Arc::from),
                tags: item.config_tags.as_deref().map(nacre_config::command::split_tags).unwrap_or_default(),
                ..ConfigMeta::default()
            };
            (meta, item.app_name.as_deref())
        }
        None => {
            let key = metadata::old_key(group, data_id);
            let app = said.applications.get(&*key).copied();
            let config_type = Some(content::type_of_data_id(data_id).into());
            (ConfigMeta { config_type, ..ConfigMeta::default() }, app)
        }
    };
    legal_names(group, data_id, rules).map_err(|reason| odd(&reason))?;
    let data = entry.data.as_ref().map_err(|reason| odd(reason))?;
    let text = std::str::from_utf8(data).map_err(|_| odd("the content is no UTF-8"))?;
    check::content(Some(text), rules.max_content).map_err(|error| odd(&error.message))?;
    Ok(ImportItem {
        key: ConfigKey::new(namespace, group, data_id),
        content: text.into(),
        replace_tags: !meta.tags.is_empty(),
        replace_app: app.is_some(),
        meta: ConfigMeta { app_name: app.unwrap_or_default().into(), ..meta },
        encrypted_data_key: "".into(),
    })
}

/// The rules of names, and one more: an archive's name for another place is no dataId.
fn legal_names(group: &str, data_id: &str, rules: &Rules) -> Result<(), String> {
    for part in [group, data_id] {
        if part == "." || part == ".." {
            return Err(format!("'{part}' is no name"));
        }
    }
    check::key(Some(data_id), Some(group)).map_err(|error| error.message)?;
    if rules.param_check {
        let info = params_check::ParamInfo { data_id: Some(data_id), group: Some(group), ..Default::default() };
        params_check::check(&info, params_check::METADATA_LENGTH)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { max_content: 1_000, param_check: true };

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = zip::Writer::default();
        for (name, text) in files {
            zip.add(name, text.as_bytes()).expect("add");
        }
        zip.finish()
    }

    fn of(files: &[(&str, &str)], words: Words) -> Result<Found, Failure> {
        judge(&archive(files), "public", words, &RULES)
    }

    fn names(found: &Found) -> Vec<String> {
        found.items.iter().map(|item| format!("{}/{}", item.key.group, item.key.data_id)).collect()
    }

    const META: &str = "metadata:\n- dataId: a.yml\n  group: G\n  type: yaml\n  desc: d\n";

    #[test]
    fn files_and_metadata_must_agree() {
        let found = of(&[(metadata::NEW, META), ("G/a.yml", "x"), ("G/b", "y")], Words::V3).expect("found");
        assert_eq!(names(&found), ["G/a.yml"]);
        assert_eq!(found.odd, ["Item not found in metadata: G/b"]);
        assert_eq!(found.items[0].meta.desc.as_deref(), Some("d"));
        let found = of(&[(metadata::NEW, META), ("G/b", "y")], Words::V1).expect("found");
        assert_eq!(found.odd, ["未在元数据中找到: G/b", "未在文件中找到: G/a.yml"]);
    }

    #[test]
    fn files_are_taken_in_the_order_of_the_metadata() {
        let meta = |id: &str| format!("- dataId: {id}\n  group: G\n  type: text\n");
        let meta = format!("metadata:\n{}{}{}", meta("c"), meta("a"), meta("b"));
        let found = of(&[("G/a", "x"), ("G/b", "x"), (metadata::NEW, &meta), ("G/c", "x")], Words::V3).expect("found");
        assert_eq!(names(&found), ["G/c", "G/a", "G/b"]);
    }

    #[test]
    fn v3_wants_metadata_and_v1_infers_types_c047_c050() {
        let files = [("G/one.yml", "x"), ("G/two", "y"), ("meta_data", "z")];
        assert!(matches!(of(&files, Words::V3), Err(Failure::BadMetadata(_))));
        let found = of(&files, Words::V1).expect("found");
        let types: Vec<_> = found.items.iter().map(|item| item.meta.config_type.as_deref()).collect();
        assert_eq!(types, [Some("yaml"), Some("text")]);
        assert_eq!(found.odd, ["meta_data"]);
    }

    #[test]
    fn a_folder_around_everything_is_taken_off_only_with_metadata_in_it_c049() {
        let wrapped = [("top/.metadata.yml", META), ("top/G/a.yml", "x")];
        assert_eq!(names(&of(&wrapped, Words::V3).expect("found")), ["G/a.yml"]);
        let deep = [("G6/a/b", "5")];
        let found = of(&deep, Words::V1).expect("found");
        assert_eq!((found.items.len(), found.odd), (0, vec!["G6/a/b".to_owned()]));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_c034_c049() {
        let files = [("G/..", "x"), ("../evil.yml", "x"), ("/abs/evil.yml", "x"), ("G/a%2Fb", "x"), ("G/ok", "x")];
        let found = of(&files, Words::V1).expect("found");
        assert_eq!(names(&found), ["G/ok"]);
        assert_eq!(found.odd.len(), 4);
    }

    #[test]
    fn what_is_no_archive_is_empty() {
        assert_eq!(judge(b"this is no zip", "public", Words::V1, &RULES), Err(Failure::Empty(nothing())));
        assert_eq!(of(&[], Words::V1), Err(Failure::Empty(nothing())));
    }
}
