using System.Diagnostics;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Flow;
using ZeroFlow.Pipeline.Memory;
using ZeroFlow.Stages.Chain;
using ZeroFlow.Stages.Map;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Engine;

/// <summary>A piece of a frame: bytes of one record, from its byte <paramref name="Start"/> on.</summary>
internal readonly record struct FramePiece(int RecordIndex, long Start, int Length);

/// <summary>A frame in the making: pieces that follow each other in the export.</summary>
/// <param name="Export">The export or snapshot whose line the frame gets.</param>
/// <param name="Family">What it is sealed for; known now, because the export may be gone when it is sealed.</param>
/// <param name="Offset">First byte in the export.</param>
/// <param name="Length">Bytes.</param>
/// <param name="FirstPiece">Index of the first piece.</param>
/// <param name="Pieces">Number of pieces.</param>
internal readonly record struct FramePlan(
    ExportId Export, ExportId Family, long Offset, int Length, int FirstPiece, int Pieces);

/// <summary>
/// A cut on its way to being a committed table: the message of stages (4) to (9). Each stage fills in its part; nobody
/// shares it.
/// </summary>
internal sealed class TableDraft : IStageMessage
{
    private readonly List<BufferLease?> _payloads = [];

    /// <inheritdoc/>
    public Exception? Fault { get; set; }

    /// <inheritdoc/>
    public Activity? Trace { get; set; }

    /// <inheritdoc/>
    public long Bytes => BodyBytes > 0 ? BodyBytes : PlainBytes;

    /// <summary>The number that the table gets. Given when the cut is made, because seals are bound to it.</summary>
    public required ChainPosition Position { get; set; }

    /// <summary>The records of the cut, in their order, without gaps. None in a settled table.</summary>
    public required IReadOnlyList<WriteRecord> Records { get; init; }

    /// <summary>What a settled table rewrites; null for a cut of user records.</summary>
    public SettledBatch? Settled { get; init; }

    /// <summary>Payload bytes of the cut.</summary>
    public required long PlainBytes { get; init; }

    /// <summary>True when a barrier closed the cut before it was full.</summary>
    public required bool IsUrgent { get; init; }

    /// <summary>The last sequence before the table's own. Given when the cut is made.</summary>
    public Sequence After { get; set; }

    public Sequence FirstSequence => After.Next;

    public Sequence LastSequence => Records.Count == 0 ? After : Records[^1].Header.Sequence;

    /// <summary>Set by (4) chunk: what the frames consist of.</summary>
    public List<FramePlan> Plans { get; } = [];

    /// <summary>Set by (4) chunk.</summary>
    public List<FramePiece> Pieces { get; } = [];

    /// <summary>Set by (4) chunk: ranges that read as zeros.</summary>
    public List<TableEntry> Zeros { get; } = [];

    /// <summary>Set by (5) compress: one line for each frame, in the order of the frames, then the zeros.</summary>
    public List<TableEntry> Entries { get; } = [];

    /// <summary>Set by (5) compress: the object in the making.</summary>
    public BufferLease? Body { get; set; }

    /// <summary>Bytes of the object so far; all of it after (7) table.</summary>
    public int BodyBytes { get; set; }

    /// <summary>Set by (6) seal.</summary>
    public byte[] Salt { get; set; } = [];

    /// <summary>Set by (6) seal.</summary>
    public byte[] Key { get; set; } = [];

    /// <summary>Set by (7) table.</summary>
    public TableIndex? Index { get; set; }

    /// <summary>The finished object, borrowed while the draft lives.</summary>
    public ReadOnlyMemory<byte> Object => Body!.Memory[..BodyBytes];

    /// <summary>Supplies the payload of the next record; the draft takes over one reference.</summary>
    public void AddPayload(BufferLease? payload) => _payloads.Add(payload);

    /// <summary>The bytes of a piece, borrowed.</summary>
    public ReadOnlySpan<byte> BytesOf(in FramePiece piece)
    {
        if (Settled is not null) return Settled.Payload.Span.Slice((int)piece.Start, piece.Length);
        WriteRecord record = Records[piece.RecordIndex];
        BufferLease payload = _payloads[piece.RecordIndex]!;

        // A payload that was read back from the WAL holds the record alone; one in memory may hold a longer write.
        long origin = ReferenceEquals(payload, record.Payload) ? record.PayloadOffset : 0;
        return payload.Span.Slice((int)(origin + piece.Start), piece.Length);
    }

    /// <summary>Lets go of the payloads once the frames are encoded.</summary>
    public void ReleasePayloads()
    {
        foreach (BufferLease? payload in _payloads) payload?.Release();
        _payloads.Clear();
        Settled?.ReleasePayload();
    }

    /// <summary>Lets go of everything.</summary>
    public void Release()
    {
        ReleasePayloads();
        Body?.Release();
        Body = null;
    }
}
