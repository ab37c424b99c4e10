//! The messages for a query, a view and a write.

use std::collections::HashMap;

use spark_connect_proto::relation::RelType;
use spark_connect_proto::{Command, CreateDataFrameViewCommand, Plan, Read, Relation, RelationCommon, Sql, WriteOperation};
use spark_connect_proto::{command::CommandType, plan::OpType, read, write_operation};

fn relation(rel_type: RelType) -> Relation {
    Relation { common: Some(RelationCommon::default()), rel_type: Some(rel_type) }
}

/// The rows of a query.
pub(crate) fn rows_of(sql: &str) -> Relation {
    relation(RelType::Sql(Sql { query: sql.to_string(), ..Sql::default() }))
}

/// The rows of Parquet files, with these columns. A column that a file lacks is null.
pub(crate) fn rows_in(files: Vec<String>, columns: &str) -> Relation {
    let source = read::DataSource {
        format: Some("parquet".to_string()),
        schema: Some(columns.to_string()),
        paths: files,
        ..read::DataSource::default()
    };
    relation(RelType::Read(Read { is_streaming: false, read_type: Some(read::ReadType::DataSource(source)) }))
}

fn command(command_type: CommandType) -> Plan {
    Plan { op_type: Some(OpType::Command(Command { command_type: Some(command_type) })) }
}

/// Runs a query. Its rows come with the answer.
pub(crate) fn query(sql: &str) -> Plan {
    Plan { op_type: Some(OpType::Root(rows_of(sql))) }
}

/// Gives rows a name under which later queries of the session read them.
pub(crate) fn view(name: &str, rows: Relation) -> Plan {
    command(CommandType::CreateDataframeView(CreateDataFrameViewCommand {
        input: Some(rows),
        name: name.to_string(),
        is_global: false,
        replace: true,
    }))
}

/// Writes the rows of a query as Parquet files into a folder. Replaces what is there.
pub(crate) fn write(sql: &str, folder: String) -> Plan {
    command(CommandType::WriteOperation(WriteOperation {
        input: Some(rows_of(sql)),
        source: Some("parquet".to_string()),
        save_type: Some(write_operation::SaveType::Path(folder)),
        mode: write_operation::SaveMode::Overwrite as i32,
        options: HashMap::from([("compression".to_string(), "zstd".to_string())]),
        ..WriteOperation::default()
    }))
}
