//! Listing and counting by filter. Pages are stable: each begins where the last one ended, by the values of the sort
//! order, not by a count of rows, so that runs which start or close meanwhile shift nothing.

mod sql;
mod token;

use rusqlite::{Connection, Row, params_from_iter, types::Value};

use self::sql::{Fragment, SortColumn};
use super::{
    read::{VISIBILITY_COLUMNS, VISIBILITY_WIDTH, visibility_row},
    types::{Count, Group, Page, VisibilityHit},
};
use crate::visibility::{GroupBy, Query};

/// Most hits of one page.
const MAX_PAGE: usize = 1000;

/// What a listing can fail with, beside the database.
pub(super) enum ListFault {
    Token,
    Database(rusqlite::Error),
}

impl From<rusqlite::Error> for ListFault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

pub(super) fn list(
    connection: &Connection,
    namespace: &str,
    query: &Query,
    page_size: usize,
    page_token: &[u8],
) -> Result<Page, ListFault> {
    let page_size = page_size.clamp(1, MAX_PAGE);
    let columns = sql::sort_columns(&query.order_by);
    let position = match page_token {
        [] => None,
        token => Some(token::decode(token, columns.len()).ok_or(ListFault::Token)?),
    };
    let statement = list_statement(namespace, query, &columns, position.as_deref(), page_size + 1);
    let mut prepared = connection.prepare_cached(&statement.text)?;
    let mut rows = prepared.query(params_from_iter(&statement.params))?;
    let mut page = Page::default();
    let mut last = Vec::new();
    while let Some(row) = rows.next()? {
        if page.hits.len() == page_size {
            page.next_page_token = token::encode(&last);
            break;
        }
        page.hits.push(hit(row)?);
        if page.hits.len() == page_size {
            last = position_of(row, columns.len())?;
        }
    }
    Ok(page)
}

fn list_statement(
    namespace: &str,
    query: &Query,
    columns: &[SortColumn],
    position: Option<&[Value]>,
    limit: usize,
) -> Fragment {
    let mut statement = Fragment::text(format!("SELECT e.workflow_id, e.run_id, {VISIBILITY_COLUMNS}"));
    for column in columns {
        statement.push(", ").append(column.expression.clone());
    }
    statement.append(from_where(namespace, query));
    if let Some(position) = position {
        statement.push(" AND ").append(sql::after(columns, position));
    }
    statement.append(sql::order_by(columns)).push(" LIMIT ").bind(Value::Integer(i64::try_from(limit).unwrap_or(1)));
    statement
}

fn from_where(namespace: &str, query: &Query) -> Fragment {
    let mut fragment = Fragment::text(" FROM executions e WHERE e.namespace = ");
    fragment.bind(Value::Text(namespace.to_owned()));
    if let Some(filter) = &query.filter {
        fragment.push(" AND ").append(sql::filter(filter));
    }
    fragment
}

fn hit(row: &Row<'_>) -> rusqlite::Result<VisibilityHit> {
    Ok(VisibilityHit { workflow_id: row.get(0)?, run_id: row.get(1)?, row: visibility_row(row, 2)? })
}

fn position_of(row: &Row<'_>, columns: usize) -> rusqlite::Result<Vec<Value>> {
    (0..columns).map(|column| row.get(2 + VISIBILITY_WIDTH + column)).collect()
}

pub(super) fn count(connection: &Connection, namespace: &str, query: &Query) -> rusqlite::Result<Count> {
    let column = query.group_by.map_or_else(|| Fragment::text("0"), sql::group_column);
    let mut statement = Fragment::text("SELECT count(*), ");
    statement.append(column).append(from_where(namespace, query));
    if query.group_by.is_some() {
        statement.push(" GROUP BY 2 ORDER BY 2");
    }
    let mut prepared = connection.prepare_cached(&statement.text)?;
    let groups: Vec<(Group, i64)> = prepared
        .query_map(params_from_iter(&statement.params), |row| Ok((group(row, query.group_by)?, row.get(0)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let total = groups.iter().map(|(_, runs)| runs).sum();
    Ok(Count { total, groups: if query.group_by.is_some() { groups } else { Vec::new() } })
}

fn group(row: &Row<'_>, group_by: Option<GroupBy>) -> rusqlite::Result<Group> {
    Ok(match group_by {
        Some(GroupBy::Division) => Group::Division(row.get(1)?),
        Some(GroupBy::Status) | None => Group::Status(row.get(1)?),
    })
}

/// The statement of a listing, for tests of how it is served.
#[cfg(test)]
pub(super) fn list_sql(namespace: &str, query: &Query, position: Option<&[Value]>) -> String {
    list_statement(namespace, query, &sql::sort_columns(&query.order_by), position, 1).text
}
