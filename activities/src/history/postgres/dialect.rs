//! Statements as PostgreSQL wants them. They are written once, so that SQLite takes them as they are: parameters are `?1`, and
//! what only a store of many hosts needs stands in a comment, `/*[AND host = :host]*/`.

/// A statement for the rows of `host`, whose name holds nothing that could end a literal (`Postgres::new` sees to that).
pub(super) fn translate(sql: &str, host: &str) -> String {
    let mut text = String::with_capacity(sql.len() + host.len());
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("/*[") {
        let (inside, behind) = after.split_once("]*/").unwrap_or((after, ""));
        text += before;
        text += &inside.replace(":host", &format!("'{host}'"));
        rest = behind;
    }
    text += rest;
    text.replace('?', "$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_hosts() {
        let sql = "SELECT a FROM b WHERE c = ?1 /*[AND host = :host]*/ OR /*[:host = d AND ]*/e < ?12";
        assert_eq!(
            translate(sql, "web-1"),
            "SELECT a FROM b WHERE c = $1 AND host = 'web-1' OR 'web-1' = d AND e < $12"
        );
    }
}
