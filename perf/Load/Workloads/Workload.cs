using System.Globalization;
using System.Text.RegularExpressions;
using ZeroFlow.Perf.Nbd;

namespace ZeroFlow.Perf.Workloads;

internal enum WorkloadKind
{
    Transfer,
    Commit,
    CleanFlush,
    Mixed,
    ReadersAndCommitters,
    Fill,
}

/// <summary>
/// What to ask of a server. The words: <c>[rand|seq|once](read|write)SIZE[+flush]</c> (random unless said; once is in
/// order and ends with the region), <c>flush</c>, <c>mixed</c>, <c>readcommit</c>; SIZE like 4k, 128k, 1m.
/// </summary>
internal sealed partial record Workload(
    string Name, WorkloadKind Kind, int BlockBytes, NbdCommand Command = NbdCommand.Read, bool Sequential = false,
    bool Once = false)
{
    // ZFS under PostgreSQL sends about one FLUSH for every two writes; half of all are reads here.
    private static readonly MixShares ZfsShares = new(Flush: 1.0 / 6, Write: 2.0 / 6);

    public bool NeedsFlush => Kind is WorkloadKind.Commit or WorkloadKind.CleanFlush or WorkloadKind.Mixed
        or WorkloadKind.ReadersAndCommitters;

    public bool Writes => Kind != WorkloadKind.Transfer || Command == NbdCommand.Write;

    /// <summary>Writes the whole region once, in order.</summary>
    public static Workload Fill { get; } =
        new("fill", WorkloadKind.Fill, 128 * 1024, NbdCommand.Write, Once: true);

    /// <exception cref="FormatException">Not a workload's name.</exception>
    public static Workload Parse(string name)
    {
        switch (name)
        {
            case "flush": return new Workload(name, WorkloadKind.CleanFlush, 4096);
            case "mixed": return new Workload(name, WorkloadKind.Mixed, 8192);
            case "readcommit": return new Workload(name, WorkloadKind.ReadersAndCommitters, 8192);
        }

        var match = TransferName().Match(name);
        if (!match.Success) throw new FormatException($"'{name}' is not a workload; see --help");

        var unit = match.Groups["unit"].Value == "m" ? 1024 * 1024 : 1024;
        var bytes = int.Parse(match.Groups["size"].Value, CultureInfo.InvariantCulture) * unit;
        var write = match.Groups["op"].Value == "write";
        var flush = match.Groups["flush"].Success;
        if (flush && !write) throw new FormatException($"'{name}': only writes can be followed by a FLUSH");
        if (bytes > PayloadPool.LengthMax)
            throw new FormatException($"'{name}': longer than {PayloadPool.LengthMax} bytes");

        return new Workload(
            name,
            flush ? WorkloadKind.Commit : WorkloadKind.Transfer,
            bytes,
            write ? NbdCommand.Write : NbdCommand.Read,
            match.Groups["order"].Value == "seq",
            match.Groups["order"].Value == "once");
    }

    /// <summary>What it asks for, for people.</summary>
    public string Words
    {
        get
        {
            var size = BlockBytes >= 1 << 20 ? $"{BlockBytes >> 20} MiB" : $"{BlockBytes >> 10} KiB";
            var order = Sequential || Once ? "sequential" : "random";
            return Kind switch
            {
                WorkloadKind.Commit => $"{size} {order} write+FLUSH",
                WorkloadKind.CleanFlush => "FLUSH with nothing written",
                WorkloadKind.Mixed => $"{size} reads, writes and FLUSHes, 3:2:1",
                WorkloadKind.ReadersAndCommitters => $"{size} reads beside writes and FLUSH",
                _ => $"{size} {order} {(Command == NbdCommand.Write ? "writes" : "reads")}",
            };
        }
    }

    /// <summary>One program for each lane of one connection, all of them from one seed.</summary>
    public LaneProgram[] CreatePrograms(int lanes, long regionBytes, int connection, int connections, int seed)
    {
        var random = new Random(HashCode.Combine(seed, connection));
        var cursor = CreateCursor(regionBytes, connection, connections, random);
        return [.. Enumerable.Range(0, lanes).Select(lane => CreateProgram(lane, cursor, random))];
    }

    private LaneProgram CreateProgram(int lane, OffsetCursor cursor, Random random) => Kind switch
    {
        WorkloadKind.Commit => new CommitProgram(BlockBytes, cursor),
        WorkloadKind.CleanFlush => new CleanFlushProgram(BlockBytes, cursor),
        WorkloadKind.Mixed => new DrawnProgram(BlockBytes, cursor, ZfsShares, random),
        WorkloadKind.ReadersAndCommitters when lane % 2 == 1 => new CommitProgram(BlockBytes, cursor),
        _ => new TransferProgram(Command, BlockBytes, cursor),
    };

    private OffsetCursor CreateCursor(long regionBytes, int connection, int connections, Random random)
    {
        if (Once) return new OnceCursor(regionBytes, BlockBytes);
        return Sequential
            ? new SequentialCursor(regionBytes, BlockBytes, regionBytes / connections * connection)
            : new RandomCursor(regionBytes, BlockBytes, random);
    }

    [GeneratedRegex(
        "^(?<order>rand|seq|once)?(?<op>read|write)(?<size>[1-9][0-9]{0,3})(?<unit>[km])(?<flush>\\+flush)?$")]
    private static partial Regex TransferName();
}
