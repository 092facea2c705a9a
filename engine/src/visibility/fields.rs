//! The fields that a filter can name, and what each type of field can be asked.

use std::collections::BTreeMap;

/// What a search attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchType {
    /// Words, compared one by one without regard to case.
    Text,
    /// A text compared as a whole.
    Keyword,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// True or false.
    Bool,
    /// An instant.
    Datetime,
    /// A set of keywords.
    KeywordList,
}

impl SearchType {
    /// Number of `temporal.api.enums.v1.IndexedValueType`.
    pub fn number(self) -> i32 {
        match self {
            Self::Text => 1,
            Self::Keyword => 2,
            Self::Int => 3,
            Self::Double => 4,
            Self::Bool => 5,
            Self::Datetime => 6,
            Self::KeywordList => 7,
        }
    }

    /// The type of that number, if it is one.
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Text, Self::Keyword, Self::Int, Self::Double, Self::Bool, Self::Datetime, Self::KeywordList]
            .into_iter()
            .find(|kind| kind.number() == number)
    }
}

/// The search attributes that every namespace has without registering them, as the Temporal server defines them.
pub const PREDEFINED: [(&str, SearchType); 17] = [
    ("BatcherNamespace", SearchType::Keyword),
    ("BatcherUser", SearchType::Keyword),
    ("BinaryChecksums", SearchType::KeywordList),
    ("BuildIds", SearchType::KeywordList),
    ("TemporalChangeVersion", SearchType::KeywordList),
    ("TemporalExternalPayloadCount", SearchType::Int),
    ("TemporalExternalPayloadSizeBytes", SearchType::Int),
    ("TemporalNamespaceDivision", SearchType::Keyword),
    ("TemporalPauseInfo", SearchType::KeywordList),
    ("TemporalReportedProblems", SearchType::KeywordList),
    ("TemporalSchedulePaused", SearchType::Bool),
    ("TemporalScheduledById", SearchType::Keyword),
    ("TemporalScheduledStartTime", SearchType::Datetime),
    ("TemporalUsedWorkerDeploymentVersions", SearchType::KeywordList),
    ("TemporalWorkerDeployment", SearchType::Keyword),
    ("TemporalWorkerDeploymentVersion", SearchType::Keyword),
    ("TemporalWorkflowVersioningBehavior", SearchType::Keyword),
];

/// The search attributes that filters of a namespace can name, beside the system's own fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    attributes: BTreeMap<String, SearchType>,
}

impl Default for Schema {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Schema {
    /// The attributes that a namespace has `registered`, and the predefined ones, whose types cannot be changed.
    pub fn new(registered: BTreeMap<String, SearchType>) -> Self {
        let mut attributes = registered;
        attributes.extend(PREDEFINED.map(|(name, kind)| (name.to_owned(), kind)));
        Self { attributes }
    }

    /// The system's own fields, and the types that clients are told they have.
    pub fn system() -> impl Iterator<Item = (&'static str, SearchType)> {
        SystemField::ALL.into_iter().map(|field| {
            let kind = match field.kind() {
                FieldKind::Attribute(kind) => kind,
                FieldKind::Status => SearchType::Keyword,
                FieldKind::Duration => SearchType::Int,
            };
            (field.name(), kind)
        })
    }

    /// Whether that is the name of one of the system's own fields.
    pub fn is_system(name: &str) -> bool {
        system(name).is_some()
    }

    /// What the search attribute of that name holds, if there is one. The system's own fields are no search attributes:
    /// clients cannot set them.
    pub fn search_type(&self, name: &str) -> Option<SearchType> {
        self.attributes.get(name).copied()
    }

    /// The field that a filter means: by its own name, or by one that Temporal lets stand for it. Predefined attributes
    /// may be named without their prefix, and all but the namespace's own with one; `ScheduleId` is the workflow id of a
    /// schedule, unless the namespace has an attribute of that name.
    pub(super) fn resolve(&self, name: &str) -> Option<Field> {
        let unprefixed = || name.strip_prefix(PREFIX).and_then(|rest| system(rest).or_else(|| predefined(rest)));
        system(name)
            .or_else(|| self.attributes.get(name).map(|&kind| Field::Attribute { name: name.to_owned(), kind }))
            .or_else(|| (name == SCHEDULE_ID).then_some(Field::System(SystemField::WorkflowId)))
            .or_else(|| predefined(&format!("{PREFIX}{name}")))
            .or_else(unprefixed)
    }
}

fn system(name: &str) -> Option<Field> {
    SystemField::ALL.into_iter().find(|field| field.name() == name).map(Field::System)
}

fn predefined(name: &str) -> Option<Field> {
    let (name, kind) = PREDEFINED.into_iter().find(|(known, _)| *known == name)?;
    Some(Field::Attribute { name: name.to_owned(), kind })
}

/// What the names of most predefined attributes begin with.
const PREFIX: &str = "Temporal";
/// Another name of the workflow id, for those who list schedules.
const SCHEDULE_ID: &str = "ScheduleId";

/// A field that a filter names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    System(SystemField),
    Attribute { name: String, kind: SearchType },
}

impl Field {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::System(field) => field.name(),
            Self::Attribute { name, .. } => name,
        }
    }

    pub(crate) fn kind(&self) -> FieldKind {
        match self {
            Self::System(field) => field.kind(),
            Self::Attribute { kind, .. } => FieldKind::Attribute(*kind),
        }
    }
}

/// What a field holds: as search attributes, and two forms that only the system's fields have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Attribute(SearchType),
    Status,
    Duration,
}

/// Families of operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operators {
    /// `=` `!=`
    Equality,
    /// `IN` `NOT IN`
    Membership,
    /// `<` `<=` `>` `>=`
    Order,
    /// `BETWEEN` `NOT BETWEEN`
    Range,
    /// `STARTS_WITH` `NOT STARTS_WITH`
    Prefix,
}

impl FieldKind {
    /// Whether the kind takes the operators. `IS NULL` is taken by all.
    pub(super) fn takes(self, operators: Operators) -> bool {
        use Operators::{Equality, Membership, Order, Prefix, Range};
        let taken: &[Operators] = match self {
            Self::Attribute(SearchType::Text) => &[Equality],
            Self::Attribute(SearchType::Keyword) => &[Equality, Membership, Order, Range, Prefix],
            Self::Attribute(SearchType::KeywordList) => &[Equality, Membership],
            Self::Attribute(SearchType::Bool) => &[Equality, Membership, Order],
            Self::Attribute(SearchType::Int | SearchType::Double | SearchType::Datetime)
            | Self::Status
            | Self::Duration => &[Equality, Membership, Order, Range],
        };
        taken.contains(&operators)
    }

    /// Whether `ORDER BY` takes the kind: instants and numbers.
    pub(super) fn sorts(self) -> bool {
        matches!(self, Self::Attribute(SearchType::Int | SearchType::Double | SearchType::Datetime) | Self::Duration)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Attribute(SearchType::Text) => "Text",
            Self::Attribute(SearchType::Keyword) => "Keyword",
            Self::Attribute(SearchType::Int) => "Int",
            Self::Attribute(SearchType::Double) => "Double",
            Self::Attribute(SearchType::Bool) => "Bool",
            Self::Attribute(SearchType::Datetime) => "Datetime",
            Self::Attribute(SearchType::KeywordList) => "KeywordList",
            Self::Status => "ExecutionStatus",
            Self::Duration => "duration",
        }
    }
}

/// A field that every run has. What is counted of a history (`HistoryLength`, `HistorySizeBytes`, `StateTransitionCount`)
/// is absent until the run has closed, as the server has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemField {
    WorkflowId,
    RunId,
    WorkflowType,
    TaskQueue,
    ExecutionStatus,
    StartTime,
    ExecutionTime,
    CloseTime,
    ExecutionDuration,
    HistoryLength,
    HistorySizeBytes,
    StateTransitionCount,
    ParentWorkflowId,
    ParentRunId,
    RootWorkflowId,
    RootRunId,
}

impl SystemField {
    pub(crate) const ALL: [Self; 16] = [
        Self::WorkflowId,
        Self::RunId,
        Self::WorkflowType,
        Self::TaskQueue,
        Self::ExecutionStatus,
        Self::StartTime,
        Self::ExecutionTime,
        Self::CloseTime,
        Self::ExecutionDuration,
        Self::HistoryLength,
        Self::HistorySizeBytes,
        Self::StateTransitionCount,
        Self::ParentWorkflowId,
        Self::ParentRunId,
        Self::RootWorkflowId,
        Self::RootRunId,
    ];

    /// The name that Temporal's filters give it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WorkflowId => "WorkflowId",
            Self::RunId => "RunId",
            Self::WorkflowType => "WorkflowType",
            Self::TaskQueue => "TaskQueue",
            Self::ExecutionStatus => "ExecutionStatus",
            Self::StartTime => "StartTime",
            Self::ExecutionTime => "ExecutionTime",
            Self::CloseTime => "CloseTime",
            Self::ExecutionDuration => "ExecutionDuration",
            Self::HistoryLength => "HistoryLength",
            Self::HistorySizeBytes => "HistorySizeBytes",
            Self::StateTransitionCount => "StateTransitionCount",
            Self::ParentWorkflowId => "ParentWorkflowId",
            Self::ParentRunId => "ParentRunId",
            Self::RootWorkflowId => "RootWorkflowId",
            Self::RootRunId => "RootRunId",
        }
    }

    fn kind(self) -> FieldKind {
        match self {
            Self::WorkflowId
            | Self::RunId
            | Self::WorkflowType
            | Self::TaskQueue
            | Self::ParentWorkflowId
            | Self::ParentRunId
            | Self::RootWorkflowId
            | Self::RootRunId => FieldKind::Attribute(SearchType::Keyword),
            Self::ExecutionStatus => FieldKind::Status,
            Self::StartTime | Self::ExecutionTime | Self::CloseTime => FieldKind::Attribute(SearchType::Datetime),
            Self::ExecutionDuration => FieldKind::Duration,
            Self::HistoryLength | Self::HistorySizeBytes | Self::StateTransitionCount => {
                FieldKind::Attribute(SearchType::Int)
            }
        }
    }
}
