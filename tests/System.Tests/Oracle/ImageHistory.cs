namespace ZeroFlow.SystemTests.Oracle;

/// <summary>What must have survived.</summary>
internal enum Promise
{
    /// <summary>Every acknowledged write: what holds after a crash of the process.</summary>
    Acknowledged,

    /// <summary>
    /// Every write that a FLUSH or FUA covered: what holds after the loss of all that was not flushed.
    /// </summary>
    Flushed,
}

/// <summary>
/// The writes to one export and what may stand in each sector after a crash. Requests in flight never overlap, so that
/// the writes to each sector are in a known order. Thread-safe.
/// </summary>
internal sealed class ImageHistory(string export, uint number, long bytes, Sequencer sequencer)
{
    private readonly Lock _lock = new();
    private readonly bool[] _busy = new bool[bytes / SectorStamp.Bytes];
    private readonly long[] _base = new long[bytes / SectorStamp.Bytes];
    private readonly long[] _current = new long[bytes / SectorStamp.Bytes];
    private readonly List<Operation> _operations = [];
    private long _acknowledgements;
    private long _flushedTo;
    private long _roundStart;

    public string Export => export;

    public uint Number => number;

    public int Sectors => _busy.Length;

    /// <summary>Writes and zeroes since the image was last accepted, in order of issue.</summary>
    public IReadOnlyList<Operation> Operations
    {
        get
        {
            lock (_lock) return [.. _operations];
        }
    }

    public long Acknowledgements
    {
        get
        {
            lock (_lock) return _acknowledgements;
        }
    }

    /// <summary>Reserves a range for a request, or returns null if a request in flight touches it.</summary>
    public Operation? TryBegin(OperationKind kind, int firstSector, int sectors)
    {
        lock (_lock)
        {
            var range = _busy.AsSpan(firstSector, sectors);
            if (range.Contains(true)) return null;
            range.Fill(true);
            var operation = new Operation(
                kind, kind == OperationKind.Read ? 0 : sequencer.Next(), firstSector, sectors);
            if (kind != OperationKind.Read) _operations.Add(operation);
            return operation;
        }
    }

    /// <summary>The server answered the request with success.</summary>
    public void Acknowledge(Operation operation, bool durable = false)
    {
        lock (_lock)
        {
            operation.Acknowledged = ++_acknowledgements;
            operation.Durable = durable;
            _busy.AsSpan(operation.FirstSector, operation.Sectors).Clear();
            if (operation.Kind != OperationKind.Read) Apply(operation, _current);
        }
    }

    /// <summary>Everything acknowledged with this place or before it is covered by a FLUSH that succeeded.</summary>
    public void Flushed(long acknowledgement)
    {
        lock (_lock) _flushedTo = Math.Max(_flushedTo, acknowledgement);
    }

    /// <summary>Whether a range that no write in flight touches reads as it was last written.</summary>
    public string? CheckLive(Operation read, ReadOnlySpan<byte> data)
    {
        for (var i = 0; i < read.Sectors; i++)
        {
            var sector = read.FirstSector + i;
            var content = data.Slice(i * SectorStamp.Bytes, SectorStamp.Bytes);
            var expected = Math.Max(_current[sector], SectorStamp.Zero);
            if (SectorStamp.Read(content, number, sector) != expected)
            {
                return $"{export} sector {sector} must read as write {expected}, and reads as "
                    + SectorStamp.Describe(content);
            }
        }

        return null;
    }

    /// <summary>
    /// Compares what was read after a crash with what may be there: in each sector the last promised write, or a later
    /// one. Then takes it as the image that the next round starts from. Returns what is wrong.
    /// </summary>
    public IReadOnlyList<string> AcceptAfterCrash(Image image, Promise promise)
    {
        lock (_lock)
        {
            var floor = (long[])_base.Clone();
            var zeroedLast = new long[Sectors];
            foreach (var operation in _operations)
            {
                if (Promised(operation, promise)) Apply(operation, floor);
                if (operation.Kind == OperationKind.Zero) Apply(operation, zeroedLast);
            }

            var wrong = new List<string>();
            for (var sector = 0; sector < Sectors; sector++)
            {
                if (Breach(image, sector, floor[sector], -zeroedLast[sector]) is { } breach) wrong.Add(breach);
            }

            Rebase(image);
            return wrong;
        }
    }

    /// <summary>Whether the image is what the first writes up to <paramref name="last"/> give; null if so.</summary>
    public string? DiffersFromPrefix(Image image, long last)
    {
        var expected = (long[])_base.Clone();
        foreach (var operation in Operations)
        {
            if (operation.Sequence <= last) Apply(operation, expected);
        }

        for (var sector = 0; sector < Sectors; sector++)
        {
            var wanted = Math.Max(expected[sector], SectorStamp.Zero);
            if (image.States[sector] != wanted)
            {
                return $"{export} sector {sector} is of write {image.States[sector]}, "
                    + $"the first {last} writes give {wanted}";
            }
        }

        return null;
    }

    // Zeros written by operation n are kept as -n, so that the order of writes and zeroes stays known.
    private static void Apply(Operation operation, long[] states) =>
        states.AsSpan(operation.FirstSector, operation.Sectors)
            .Fill(operation.Kind == OperationKind.Zero ? -operation.Sequence : operation.Sequence);

    private bool Promised(Operation operation, Promise promise) =>
        operation.Acknowledged > 0
        && (promise == Promise.Acknowledged || operation.Durable || operation.Acknowledged <= _flushedTo);

    private string? Breach(Image image, int sector, long floor, long zeroedLast)
    {
        var found = image.States[sector];
        var legal = found switch
        {
            null => false,
            SectorStamp.Zero => floor <= 0 || zeroedLast > floor,
            // What an earlier round lost must not come back: only a write of this round may be newer than promised.
            _ => found == floor || (found > Math.Abs(floor) && found > _roundStart),
        };
        return legal
            ? null
            : $"{export} sector {sector}: promised is {(floor > 0 ? $"write {floor}" : $"zero of {-floor}")} or later, "
                + $"found is {(found is { } sequence ? $"{sequence}" : image.Foreign[sector])}";
    }

    private void Rebase(Image image)
    {
        _roundStart = sequencer.Last;
        for (var sector = 0; sector < Sectors; sector++)
        {
            _base[sector] = _current[sector] = image.States[sector] is > 0 and { } sequence ? sequence : -_roundStart;
        }

        _operations.Clear();
        Array.Clear(_busy);
        _flushedTo = 0;
        _acknowledgements = 0;
    }
}
