//! Packages whose data has no way back: an older self refuses, or may refuse, what its newer self has
//! written. Small on purpose: a row is here where the project itself says so. Not here, on purpose:
//! PostgreSQL, whose packages are one for each major version, and whose minor releases read each other's data.

/// Some packages of one kind.
pub(super) struct Row {
    /// Names; a `*` at the end stands for any rest.
    pub names: &'static [&'static str],
    /// How many leading numbers of the upstream version have to stay the same for the way back to be open.
    pub same: usize,
    /// Why, for people.
    pub why: &'static str,
}

pub(super) const ROWS: &[Row] = &[
    // MySQL 8.0 manual, "Downgrading MySQL": from an 8.0 release to an earlier 8.0 release is not supported;
    // the data dictionary is upgraded at the first start. Percona's server keeps its data the same way.
    Row {
        names: &["mysql-server-8*", "mysql-server-9*", "mysql-community-server", "percona-server-server"],
        same: 3,
        why: "MySQL refuses data that a later release has opened, a minor step included",
    },
    // MariaDB knowledge base, "Downgrading between major versions": not supported; within a series it is.
    Row {
        names: &["mariadb-server", "mariadb-server-1*"],
        same: 2,
        why: "MariaDB does not go back to an earlier series: its system tables and redo log are changed",
    },
    // MongoDB release notes, "Downgrade 7.0 to 6.0": binary downgrades are not supported any more; before
    // 7.0 they want the feature compatibility version set back by hand first.
    Row {
        names: &["mongodb-org-server", "mongodb-server", "mongodb-server-core"],
        same: 2,
        why: "MongoDB does not start an earlier release on data that a later one has written",
    },
    // elastic/elasticsearch pull request 41731: a node refuses to start on data of a later version, patch
    // releases included. OpenSearch was forked from 7.10, which has that check.
    Row {
        names: &["elasticsearch", "opensearch"],
        same: 3,
        why: "a node refuses to start on data that a later version has opened",
    },
    // redis/redis issues 13007 and 14064: "Can't handle RDB format version"; the format changes with
    // minor releases (7.0: 10, 7.2: 11, 7.4: 12).
    Row {
        names: &["redis-server"],
        same: 2,
        why: "an earlier release may not read the dump that a later one writes at its shutdown",
    },
    // As Redis, of which it is a fork; its format changes with major releases.
    Row {
        names: &["valkey-server"],
        same: 1,
        why: "an earlier release may not read the dump that a later one writes at its shutdown",
    },
    // OpenLDAP administrator's guide, "Upgrading from 2.4": databases are exported and loaded anew; Debian's
    // package does that, one way.
    Row {
        names: &["slapd"],
        same: 2,
        why: "between series the directory is dumped and loaded anew, one way",
    },
    // etcd documentation, "Downgrading": with authentication on, 3.5 can't go back; from 3.6 on it has to
    // be announced to the cluster first.
    Row {
        names: &["etcd-server"],
        same: 2,
        why: "etcd goes back to an earlier minor release only after that was announced to its cluster",
    },
    // GitLab documentation, "Roll back to earlier GitLab versions": the migrations of the database have to
    // be reverted by restoring a backup, between patch releases too.
    Row {
        names: &["gitlab-ce", "gitlab-ee"],
        same: 3,
        why: "its database is migrated forward; going back wants the backup of that very version",
    },
    // Grafana's migrations run at the start of a new version, forward alone.
    Row {
        names: &["grafana", "grafana-enterprise"],
        same: 2,
        why: "its database is migrated forward at the first start, and never back",
    },
];
