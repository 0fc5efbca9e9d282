using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Journal;

/// <summary>
/// Reads the segments of a WAL after a stop of whatever kind, and decides for each record whether it is there.
/// </summary>
/// <remarks>
/// What may be missing is what was never synced: a torn tail. What may not be missing is a record that a later one,
/// in this segment or the next, proves to have been synced when it was written. FasterLog's own recovery is not used: it
/// checks less and stays silent about what it drops.
/// </remarks>
internal sealed partial class WalReplay
{
    private readonly IWalDisk _disk;
    private readonly byte[] _rootKey;
    private readonly Guid _storeId;
    private readonly ILogger _log;

    public WalReplay(IWalDisk disk, byte[] rootKey, Guid storeId, ILogger log)
    {
        _disk = disk;
        _rootKey = rootKey;
        _storeId = storeId;
        _log = log;
    }

    /// <summary>The highest ordinal that any file bears.</summary>
    public int HighestOrdinal { get; private set; }

    /// <summary>The names of the segment files, in order.</summary>
    public static IReadOnlyList<string> SegmentFiles(IWalDisk disk) =>
        [.. disk.List().Where(name => WalSegment.TryParseName(name, out _))];

    /// <summary>Replays, and returns the segments that hold records which are still needed.</summary>
    public List<WalSegment> Run(Sequence committed, WalReplayed replayed)
    {
        List<WalSegment> segments = OpenSegments();
        DropCommitted(segments, committed);
        Sequence expected = committed.Next;
        for (int i = 0; i < segments.Count; i++)
        {
            WalSegment segment = segments[i];
            if (segment.Header.FirstSequence > expected)
            {
                if (i == 0)
                    throw Missing(expected, $"the first record in {_disk.Location} is {segment.Header.FirstSequence}");
                GiveUpTail(segments, i, expected);
                break;
            }

            var scan = new WalSegmentScan(segment, i == 0 ? segment.Header.FirstSequence : expected);
            long end = scan.Run((in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload) =>
            {
                if (header.Sequence > committed) replayed(header, position, payload);
            });
            segment.LastSequence = scan.Last;
            expected = Sequence.Max(expected, scan.Last.Next);
            if (i == segments.Count - 1) ProveTail(scan, end, expected);
        }

        return segments;
    }

    private List<WalSegment> OpenSegments()
    {
        var segments = new List<WalSegment>();
        foreach (string name in SegmentFiles(_disk))
        {
            if (!WalSegment.TryParseName(name, out int ordinal)) continue;
            HighestOrdinal = Math.Max(HighestOrdinal, ordinal);
            IWalFile file = _disk.Open(name);
            byte[] first = new byte[WalSegmentHeader.Bytes];
            int read = file.Read(FasterSegmentLog.FirstAddress + FasterSegmentLog.EntryHeaderBytes, first);
            switch (WalSegmentHeader.TryRead(_rootKey, first.AsSpan(0, read), out WalSegmentHeader? header))
            {
                case ParseResult.Ok when header!.StoreId == _storeId && header.Ordinal == ordinal:
                    segments.Add(new WalSegment(header, file, _rootKey));
                    break;
                case ParseResult.Newer:
                    throw new StorageFaultException(
                        FaultKind.Invalid, $"The WAL segment {name} in {_disk.Location} has a newer format than this program knows. Use a newer ZeroFlow.");
                default:
                    // Prepared ahead and never used, or its first page was never synced: it holds nothing provable. A
                    // gap that this leaves is found by the sequence of the next segment.
                    LogUnused(name);
                    file.Dispose();
                    _disk.Delete(name);
                    break;
            }
        }

        segments.Sort((a, b) => a.Header.Ordinal.CompareTo(b.Header.Ordinal));
        return segments;
    }

    // A segment is not needed when the one behind it begins at or before what is needed.
    private void DropCommitted(List<WalSegment> segments, Sequence committed)
    {
        while (segments.Count > 1 && segments[1].Header.FirstSequence <= committed.Next) Delete(segments, 0);
    }

    // The records before segment i are not all there. That is a torn tail, and what follows it goes, too, unless
    // something proves that it had been synced.
    private void GiveUpTail(List<WalSegment> segments, int i, Sequence missing)
    {
        var synced = Sequence.Zero;
        for (int k = i - 1; k < segments.Count; k++)
        {
            synced = Sequence.Max(synced, segments[k].Header.SyncedThrough);
            synced = Sequence.Max(synced, new WalSegmentScan(segments[k], missing).FindProof(missing));
        }

        if (synced >= missing) throw Missing(missing, $"a later record proves that everything up to {synced} had been synced");
        LogTornTail(missing.Value, segments.Count - i);
        while (segments.Count > i) Delete(segments, i);
    }

    private void ProveTail(WalSegmentScan scan, long end, Sequence missing)
    {
        Sequence synced = scan.FindProof(missing);
        if (synced >= missing)
        {
            throw Missing(
                missing, $"its place is address {end} of {WalSegment.NameOf(scan.Segment.Header.Ordinal)}, and a later record proves that everything up to {synced} had been synced");
        }
    }

    private void Delete(List<WalSegment> segments, int index)
    {
        segments[index].File.Dispose();
        _disk.Delete(WalSegment.NameOf(segments[index].Header.Ordinal));
        segments.RemoveAt(index);
    }

    private StorageFaultException Missing(Sequence sequence, string why) => StorageFaultException.Corrupt(
        $"The WAL in {_disk.Location} lacks record {sequence}, which was acknowledged as durable: {why}. " +
        "Nothing was changed; move the directory's *.wal files aside to start from what the bucket holds.");

    [LoggerMessage(Level = LogLevel.Information, Message = "The WAL segment {Name} holds no records; it is removed.")]
    private partial void LogUnused(string name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The WAL ends before record {Sequence}; {Segments} later segments that were never synced are dropped.")]
    private partial void LogTornTail(ulong sequence, int segments);
}

/// <summary>Walks the entries of one segment's file, page by page, as FasterLog laid them out.</summary>
internal sealed class WalSegmentScan
{
    private readonly byte[] _page;
    private readonly ChaCha20Poly1305 _cipher;
    private byte[] _payload = new byte[4096];

    public WalSegmentScan(WalSegment segment, Sequence expected)
    {
        Segment = segment;
        _page = new byte[segment.Header.PageBytes];
        _cipher = segment.NewCipher();
        Last = new Sequence(expected.Value - 1);
    }

    public WalSegment Segment { get; }

    /// <summary>The last whole record found.</summary>
    public Sequence Last { get; private set; }

    /// <summary>Visits the contiguous records; returns the address behind the last one.</summary>
    public long Run(WalReplayed visit)
    {
        using (_cipher)
        {
            long end = 0;
            for (long page = 0; page < Segment.File.Length; page += _page.Length)
            {
                int filled = Segment.File.Read(page, _page);
                int from = page == 0 ? FirstRecordAt : 0;
                int reached = WalkPage(page, from, filled, visit);

                // An entry never spans pages, so the next page begins with one; if not with the next, this is the end.
                if (page > 0 && reached == from) return end;
                end = page + reached;
            }

            return end;
        }
    }

    /// <summary>
    /// Looks through the whole file for headers behind <paramref name="missing"/>, and returns the highest sequence that
    /// any of them proves to have been synced.
    /// </summary>
    public Sequence FindProof(Sequence missing)
    {
        var proof = Sequence.Zero;
        for (long at = 0; at < Segment.File.Length; at += _page.Length - WalRecordFormat.HeaderBytes)
        {
            int filled = Segment.File.Read(at, _page);
            Span<uint> words = MemoryMarshal.Cast<byte, uint>(_page.AsSpan(0, filled));
            for (int word = 0; word < words.Length;)
            {
                int found = words[word..].IndexOf(WalRecordFormat.Magic);
                if (found < 0) break;
                word += found;
                if (WalRecordFormat.TryReadHeader(
                        _page.AsSpan(word * 4, filled - (word * 4)), out WalRecordHeader header, out _, out ulong session, out Sequence synced) &&
                    session == Segment.Header.SessionCheck && header.Sequence > missing)
                    proof = Sequence.Max(proof, synced);
                word++;
            }
        }

        return proof;
    }

    private static int FirstRecordAt =>
        (int)FasterSegmentLog.FirstAddress + FasterSegmentLog.EntryBytes(WalSegmentHeader.Bytes);

    private int WalkPage(long page, int at, int filled, WalReplayed visit)
    {
        while (filled - at >= FasterSegmentLog.EntryHeaderBytes)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(_page.AsSpan(at));
            if (length < WalRecordFormat.HeaderBytes || length > filled - at - FasterSegmentLog.EntryHeaderBytes) break;
            ReadOnlySpan<byte> record = _page.AsSpan(at + FasterSegmentLog.EntryHeaderBytes, length);
            if (!WalRecordFormat.TryReadHeader(record, out WalRecordHeader header, out int payloadBytes, out ulong session, out _) ||
                session != Segment.Header.SessionCheck || header.Sequence != Last.Next ||
                length != WalRecordFormat.Bytes(payloadBytes))
                break;
            if (_payload.Length < payloadBytes) _payload = new byte[payloadBytes];
            Span<byte> payload = _payload.AsSpan(0, payloadBytes);
            if (!WalRecordFormat.TryOpen(_cipher, header.Sequence, record, payload)) break;
            visit(header, new WalPosition(Segment.Header.Ordinal, page + at), payload);
            Last = header.Sequence;
            at += FasterSegmentLog.EntryBytes(length);
        }

        return at;
    }
}
