using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using ZeroFlow.Pipeline.Blocks;

namespace ZeroFlow.Stages.Journal;

/// <summary>Walks the entries of one segment's file, page by page, as FasterLog laid them out.</summary>
internal sealed class WalSegmentScan
{
    private readonly WalSegment _segment;
    private readonly Sequence _before;
    private readonly byte[] _page;
    private readonly ChaCha20Poly1305 _cipher;
    private byte[] _payload = new byte[4096];

    /// <param name="segment">The segment to walk.</param>
    /// <param name="before">The scan ends before this record.</param>
    public WalSegmentScan(WalSegment segment, Sequence before)
    {
        _segment = segment;
        _before = before;
        _page = new byte[segment.Header.PageBytes];
        _cipher = segment.NewCipher();
        Last = new Sequence(segment.Header.FirstSequence.Value - 1);
    }

    /// <summary>The last whole record found.</summary>
    public Sequence Last { get; private set; }

    private static int FirstRecordAt =>
        (int)FasterSegmentLog.FirstAddress + FasterSegmentLog.EntryBytes(WalSegmentHeader.Bytes);

    /// <summary>
    /// Looks through a whole file for headers of records behind <paramref name="missing"/>, and returns the highest
    /// sequence that any of them proves to have been synced. Without a <paramref name="session"/>, any session's count.
    /// </summary>
    public static Sequence FindProof(IWalFile file, int stepBytes, ulong? session, Sequence missing)
    {
        var proof = Sequence.Zero;
        byte[] window = new byte[stepBytes];
        for (long at = 0; at < file.Length; at += stepBytes - WalRecordFormat.HeaderBytes)
        {
            int filled = file.Read(at, window);
            Span<uint> words = MemoryMarshal.Cast<byte, uint>(window.AsSpan(0, filled));
            for (int word = 0; word < words.Length; word++)
            {
                int found = words[word..].IndexOf(WalRecordFormat.Magic);
                if (found < 0) break;
                word += found;
                if (WalRecordFormat.TryReadHeader(
                        window.AsSpan(word * 4, filled - (word * 4)), out WalRecordHeader header, out _, out ulong wrote, out Sequence synced) &&
                    (session is null || wrote == session) && header.Sequence > missing)
                    proof = Sequence.Max(proof, synced);
            }
        }

        return proof;
    }

    /// <summary>True when the file holds nothing but zeros.</summary>
    public static bool IsZero(IWalFile file)
    {
        byte[] window = new byte[WriteAheadLog.PageBytesMin];
        for (long at = 0; at < file.Length; at += window.Length)
        {
            if (window.AsSpan(0, file.Read(at, window)).ContainsAnyExcept((byte)0)) return false;
        }

        return true;
    }

    /// <summary>Visits the contiguous records.</summary>
    public void Run(WalReplayed visit)
    {
        using (_cipher)
        {
            for (long page = 0; page < _segment.File.Length; page += _page.Length)
            {
                int filled = _segment.File.Read(page, _page);
                Sequence found = Last;
                WalkPage(page, page == 0 ? FirstRecordAt : 0, filled, visit);

                // An entry never spans pages, so the next page begins with one; if not with the next, this is the end.
                if (page > 0 && Last == found) return;
            }
        }
    }

    private void WalkPage(long page, int at, int filled, WalReplayed visit)
    {
        while (filled - at >= FasterSegmentLog.EntryHeaderBytes && Last.Next < _before)
        {
            int length = BinaryPrimitives.ReadInt32LittleEndian(_page.AsSpan(at));
            if (length < WalRecordFormat.Bytes(0) || length > filled - at - FasterSegmentLog.EntryHeaderBytes) return;
            ReadOnlySpan<byte> record = _page.AsSpan(at + FasterSegmentLog.EntryHeaderBytes, length);
            if (!WalRecordFormat.TryReadHeader(record, out WalRecordHeader header, out int payloadBytes, out ulong session, out _) ||
                session != _segment.Header.SessionCheck || header.Sequence != Last.Next ||
                length != WalRecordFormat.Bytes(payloadBytes))
                return;
            if (_payload.Length < payloadBytes) _payload = new byte[payloadBytes];
            Span<byte> payload = _payload.AsSpan(0, payloadBytes);
            if (!WalRecordFormat.TryOpen(_cipher, header.Sequence, record, payload)) return;
            visit(header, new WalPosition(_segment.Header.Ordinal, page + at), payload);
            Last = header.Sequence;
            at += FasterSegmentLog.EntryBytes(length);
        }
    }
}
