namespace ZeroFlow.SystemTests.Oracle;

internal enum OperationKind
{
    Write,
    Zero,
    Read,
}

/// <summary>One request of a load, and what became of it.</summary>
internal sealed class Operation(OperationKind kind, long sequence, int firstSector, int sectors)
{
    public OperationKind Kind { get; } = kind;

    /// <summary>Place among all writes of the test, over all its exports.</summary>
    public long Sequence { get; } = sequence;

    public int FirstSector { get; } = firstSector;

    public int Sectors { get; } = sectors;

    public long Offset => (long)FirstSector * SectorStamp.Bytes;

    public int Length => Sectors * SectorStamp.Bytes;

    /// <summary>Place among the acknowledgements of its export, or zero while there is none.</summary>
    public long Acknowledged { get; set; }

    /// <summary>Acknowledged with FUA.</summary>
    public bool Durable { get; set; }
}
