using ZeroFlow.Host.Setup;

namespace ZeroFlow.Host.Doctor;

/// <summary>PostgreSQL's settings that matter above a block device, judged from <see cref="Query"/>'s lines. Pure.</summary>
internal static class PostgresCheck
{
    /// <summary>What psql is asked for: lines of NAME=VALUE.</summary>
    public const string Query =
        "select name || '=' || setting from pg_settings where name in ('data_directory', 'data_checksums', 'fsync', "
        + "'full_page_writes', 'synchronous_commit', 'wal_compression', 'wal_init_zero', 'wal_recycle', 'server_version') order by 1";

    /// <summary>Judges the settings.</summary>
    /// <param name="settings">The lines.</param>
    /// <param name="fileSystem">The type of the file system of the data directory, when it is known.</param>
    public static IEnumerable<Finding> Judge(string settings, string? fileSystem)
    {
        Dictionary<string, string> values = settings.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => line.Split('=', 2)).Where(pair => pair.Length == 2)
            .ToDictionary(pair => pair[0].Trim(), pair => pair[1].Trim());
        bool isCopyOnWrite = fileSystem is "zfs" or "fuse.zfs";
        yield return new Finding(
            "postgresql", true,
            $"Version {values.GetValueOrDefault("server_version", "unknown")}, in {values.GetValueOrDefault("data_directory", "an unknown directory")}{(fileSystem is null ? "" : $" on {fileSystem}")}.");
        foreach ((string name, string value) in values)
        {
            if (Judge(name, value, isCopyOnWrite) is { } finding) yield return finding;
        }

        if (FullPages(values.GetValueOrDefault("full_page_writes"), values.GetValueOrDefault("wal_compression"), fileSystem, isCopyOnWrite) is { } pages)
            yield return pages;
    }

    private static Finding? Judge(string name, string value, bool isCopyOnWrite) => (name, value) switch
    {
        ("fsync", "off") => new Finding(
            "postgresql", false, "fsync=off.", "Set it to on: otherwise no FLUSH is sent, and the server's promises are worth nothing to the database."),
        ("data_checksums", "off") => new Finding(
            "postgresql", true, "Data checksums are off.",
            "pg_checksums --enable while it is stopped (initdb -k for a new one): they are what tells a damaged page from a good one, on any storage."),
        ("synchronous_commit", "off") => new Finding(
            "postgresql", true, "synchronous_commit=off.", "A crash loses the last commits that were answered. Leave it on, unless that is meant."),
        ("wal_init_zero" or "wal_recycle", "on") when isCopyOnWrite => new Finding(
            "postgresql", true, $"{name}=on, on a file system that copies on write.",
            $"alter system set {name} = off: there, old or zeroed log files only cost writes."),
        _ => null,
    };

    private static Finding? FullPages(string? value, string? walCompression, string? fileSystem, bool isCopyOnWrite) => value switch
    {
        "on" when isCopyOnWrite => new Finding(
            "postgresql", true, "full_page_writes=on, on ZFS.",
            "It may be off where every page lies in one record (recordsize 8K or more): ZFS puts a record in place whole or not at all, so no page is torn. "
            + "That halves the log, or better. Leave it on if the database is ever to move to another file system by copying its files."),
        "off" when !isCopyOnWrite && fileSystem is not null => new Finding(
            "postgresql", false, $"full_page_writes=off, on {fileSystem}.",
            "Set it to on: a page is 16 sectors, and power loss may keep some of them and not others. The block device promises each sector, not each page."),
        "on" when walCompression == "off" => new Finding(
            "postgresql", true, "full_page_writes=on with wal_compression=off.",
            "alter system set wal_compression = lz4 (on before version 15): pages in the log are most of it after a checkpoint, and compress well."),
        _ => null,
    };
}
