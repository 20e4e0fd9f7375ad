//! Binding of parameters as the reference's web framework does it, with the words it says when one is missing or cannot be
//! read: those texts are what users search for.
//!
//! | file | what |
//! |---|---|
//! | `java` | the types and how their values are read |
//! | `words` | what is said |
//! | `single` | one parameter at a time, as config and core read them |
//! | `fields` | forms and declared parameters, as naming reads them |

mod fields;
mod java;
mod single;
mod words;

pub use self::{
    fields::{Declared, Form},
    java::{Java, Number, ids},
    single::{
        PageForm, api_text, page_form, v1_bool, v1_number, v1_number_opt, v1_text, v2_number, v2_number_required,
        v3_bool, v3_bool_bare, v3_form_bool, v3_form_number, v3_number, v3_number_required,
    },
    words::{api_missing, field_missing, not_present, other_type, param_required, v1_no_ids, v3_mismatch, v3_no_ids},
};
