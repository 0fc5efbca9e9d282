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
/// checks less and stays silent about what it drops. Nothing on the disk changes before the whole decision is made, and
/// a file is deleted only when it is known what it holds.
/// </remarks>
internal sealed partial class WalReplay
{
    private readonly IWalDisk _disk;
    private readonly byte[] _rootKey;
    private readonly Guid _storeId;
    private readonly ILogger _log;
    private readonly List<WalSegment> _unneeded = [];
    private readonly List<UnreadSegment> _unread = [];

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
        DropUnneeded(segments, committed);
        Sequence expected = committed.Next;
        int i = 0;
        for (; i < segments.Count && segments[i].Header.FirstSequence <= expected; i++)
        {
            // Where the next segment begins, it is the truth: its writer had found that nothing valid lay from there on.
            WalSegment segment = segments[i];
            Sequence before = i + 1 < segments.Count ? segments[i + 1].Header.FirstSequence : new Sequence(ulong.MaxValue);
            var scan = new WalSegmentScan(segment, before);
            scan.Run((in WalRecordHeader header, WalPosition position, ReadOnlySpan<byte> payload) =>
            {
                if (header.Sequence > committed) replayed(header, position, payload);
            });
            segment.LastSequence = scan.Last;
            expected = Sequence.Max(expected, scan.Last.Next);
        }

        VerifyUnsynced(segments, i, expected);
        GiveUpFrom(segments, i, expected);
        foreach (WalSegment segment in _unneeded) Delete(segment.File, WalSegment.NameOf(segment.Header.Ordinal));
        foreach (UnreadSegment unread in _unread) PutAway(unread);
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
            ParseResult result = WalSegmentHeader.TryRead(_rootKey, first.AsSpan(0, read), out WalSegmentHeader? header);
            if (result == ParseResult.Newer)
            {
                throw new StorageFaultException(
                    FaultKind.Invalid, $"The WAL segment {name} in {_disk.Location} has a newer format than this program knows. Use a newer ZeroFlow.");
            }

            bool own = result == ParseResult.Ok && header!.StoreId == _storeId;
            if (own && header!.Ordinal == ordinal) segments.Add(new WalSegment(header, file, _rootKey));
            else _unread.Add(new UnreadSegment(name, ordinal, file, UsedBefore: own && header!.Ordinal < ordinal));
        }

        segments.Sort((a, b) => a.Header.Ordinal.CompareTo(b.Header.Ordinal));
        return segments;
    }

    // A segment is not needed when a later one begins at or before it, or at or before the first record that is needed:
    // it is committed, or it was given up as a torn tail.
    private void DropUnneeded(List<WalSegment> segments, Sequence committed)
    {
        var begins = new Sequence(ulong.MaxValue);
        for (int i = segments.Count - 1; i >= 0; i--)
        {
            Sequence first = segments[i].Header.FirstSequence;
            if (begins <= Sequence.Max(first, committed.Next))
            {
                _unneeded.Add(segments[i]);
                segments.RemoveAt(i);
            }
            else
            {
                begins = first;
            }
        }
    }

    // The record `missing` is not there, and segments from `i` on lie behind it. Throws if anything proves that it was
    // synced, or that the file which held it is gone: files do not vanish in a crash.
    private void VerifyUnsynced(List<WalSegment> segments, int i, Sequence missing)
    {
        if (i < segments.Count && FileIsGone(segments, i))
            throw Missing(missing, $"the file before {WalSegment.NameOf(segments[i].Header.Ordinal)}, which begins at record {segments[i].Header.FirstSequence}, is gone");
        Sequence synced = Sequence.Zero;
        for (int k = Math.Max(0, i - 1); k < segments.Count; k++)
        {
            WalSegmentHeader header = segments[k].Header;
            synced = Sequence.Max(synced, header.SyncedThrough);
            synced = Sequence.Max(
                synced, WalSegmentScan.FindProof(segments[k].File, header.PageBytes, header.SessionCheck, missing));
        }

        foreach (UnreadSegment unread in _unread)
        {
            synced = Sequence.Max(
                synced, WalSegmentScan.FindProof(unread.File, WriteAheadLog.PageBytesMin, session: null, missing));
        }

        if (synced >= missing)
            throw Missing(missing, $"a later record proves that everything up to {synced} had been synced");
    }

    // Within one session, ordinals have no gaps.
    private bool FileIsGone(List<WalSegment> segments, int i)
    {
        int ordinal = segments[i].Header.Ordinal;
        if (i == 0) return !_unread.Exists(unread => unread.Ordinal < ordinal);
        WalSegmentHeader before = segments[i - 1].Header;
        return before.Session == segments[i].Header.Session &&
            ordinal - before.Ordinal - 1 > _unread.Count(u => u.Ordinal > before.Ordinal && u.Ordinal < ordinal);
    }

    private void GiveUpFrom(List<WalSegment> segments, int i, Sequence missing)
    {
        if (i == segments.Count) return;
        LogTornTail(missing.Value, segments.Count - i);
        _unneeded.AddRange(segments[i..]);
        segments.RemoveRange(i, segments.Count - i);
    }

    // Deleted when it was prepared ahead and never begun; kept out of the way when it holds something that is not
    // understood.
    private void PutAway(UnreadSegment unread)
    {
        if (unread.UsedBefore || WalSegmentScan.IsZero(unread.File))
        {
            LogUnused(unread.Name);
            Delete(unread.File, unread.Name);
            return;
        }

        unread.File.Dispose();
        LogUnread(unread.Name, _disk.SetAside([unread.Name], "unread-segment"));
    }

    private void Delete(IWalFile file, string name)
    {
        file.Dispose();
        _disk.Delete(name);
    }

    private StorageFaultException Missing(Sequence sequence, string why) => StorageFaultException.Corrupt(
        $"The WAL in {_disk.Location} lacks record {sequence}, which was acknowledged as durable: {why}. " +
        "Nothing was changed; move the directory's *.wal files aside to start from what the bucket holds.");

    [LoggerMessage(Level = LogLevel.Information, Message = "The WAL segment {Name} holds no records; it is removed.")]
    private partial void LogUnused(string name);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The WAL segment {Name} has no readable header and nothing that is known to be durable; it is kept in {Place}.")]
    private partial void LogUnread(string name, string place);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The WAL ends before record {Sequence}; {Segments} later segments that were never synced are dropped.")]
    private partial void LogTornTail(ulong sequence, int segments);

    // A file whose header cannot be read, or is still that of an earlier use under another ordinal.
    private sealed record UnreadSegment(string Name, int Ordinal, IWalFile File, bool UsedBefore);
}
