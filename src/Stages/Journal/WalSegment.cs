using System.Globalization;
using System.Security.Cryptography;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Journal;

/// <summary>
/// One segment of the WAL: a file, and while it is the active one the log that appends to it. Appending is for one
/// thread; reading is for any, as long as the reader holds a reference.
/// </summary>
internal sealed class WalSegment : IDisposable
{
    private const string Suffix = ".wal";
    private const int OrdinalDigits = 10;

    private readonly byte[] _key;
    private FasterSegmentLog? _log;
    private ChaCha20Poly1305? _appendCipher;
    private int _references = 1;

    public WalSegment(WalSegmentHeader header, IWalFile file, byte[] rootKey)
    {
        Header = header;
        File = file;
        _key = header.KeyFrom(rootKey);
        LastSequence = new Sequence(header.FirstSequence.Value - 1);
    }

    public WalSegmentHeader Header { get; }

    public IWalFile File { get; }

    /// <summary>The last record appended, or found by recovery.</summary>
    public Sequence LastSequence { get; set; }

    /// <summary>
    /// True when this process wrote it from the start: then all its records are released with it. One found by replay may
    /// end in records that were dropped, whose sequences are given out again; its file is not used again.
    /// </summary>
    public bool IsOwn { get; private set; }

    public static string NameOf(int ordinal) => ordinal.ToString($"D{OrdinalDigits}", CultureInfo.InvariantCulture) + Suffix;

    public static bool TryParseName(string name, out int ordinal)
    {
        ordinal = 0;
        return name.Length == OrdinalDigits + Suffix.Length && name.EndsWith(Suffix, StringComparison.Ordinal) &&
            int.TryParse(name.AsSpan(0, OrdinalDigits), NumberStyles.None, CultureInfo.InvariantCulture, out ordinal);
    }

    /// <summary>Makes this the active segment: the log goes on in its file, with its header.</summary>
    public void BeginAppending(byte[] rootKey, FasterSegmentLog log)
    {
        IsOwn = true;
        _log = log;
        _log.Begin(File);
        _appendCipher = new ChaCha20Poly1305(_key);
        Span<byte> header = _log.Draft(WalSegmentHeader.Bytes);
        Header.Write(rootKey, header);
        _log.Enqueue(header);
    }

    /// <summary>Bytes that the log has taken.</summary>
    public long TailAddress => _log?.TailAddress ?? File.Length;

    public bool HasRoomFor(long bytes) => _log!.HasRoomFor(bytes);

    public WalPosition Append(in WalRecordHeader header, Sequence syncedThrough, ReadOnlySpan<byte> payload)
    {
        Span<byte> record = _log!.Draft(WalRecordFormat.Bytes(payload.Length));
        WalRecordFormat.Seal(_appendCipher!, header, Header.SessionCheck, syncedThrough, payload, record);
        long address = _log.Enqueue(record);
        LastSequence = header.Sequence;
        return new WalPosition(Header.Ordinal, address);
    }

    /// <summary>Hands all that was appended to the operating system.</summary>
    public ValueTask HandOverAsync() => _log!.WriteOutAsync();

    /// <summary>Ends appending after a hand-over: the log goes on elsewhere, the file stays readable.</summary>
    public void EndAppending()
    {
        _log = null;
        _appendCipher?.Dispose();
        _appendCipher = null;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        EndAppending();
        File.Dispose();
    }

    public bool TryAddReference()
    {
        int seen = Volatile.Read(ref _references);
        while (seen > 0)
        {
            int found = Interlocked.CompareExchange(ref _references, seen + 1, seen);
            if (found == seen) return true;
            seen = found;
        }

        return false;
    }

    /// <summary>Gives a reference back; true for the last one, whose holder disposes of the file.</summary>
    public bool DropReference() => Interlocked.Decrement(ref _references) == 0;

    /// <summary>Reads and opens one record's payload.</summary>
    /// <exception cref="StorageFaultException">What lies there is not that record.</exception>
    public void Read(WalPosition position, in WalRecordHeader expected, Span<byte> payload)
    {
        int bytes = WalRecordFormat.Bytes(payload.Length);
        byte[] record = System.Buffers.ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Span<byte> whole = record.AsSpan(0, bytes);
            int read = File.Read(position.Address + FasterSegmentLog.EntryHeaderBytes, whole);
            using var cipher = new ChaCha20Poly1305(_key);
            if (read != bytes ||
                !WalRecordFormat.TryReadHeader(whole, out WalRecordHeader found, out int length, out _, out _) ||
                found != expected || length != payload.Length ||
                !WalRecordFormat.TryOpen(cipher, found.Sequence, whole, payload))
            {
                throw StorageFaultException.Corrupt(
                    $"Record {expected.Sequence} of the WAL segment {NameOf(Header.Ordinal)} cannot be read back at address {position.Address}.");
            }
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(record);
        }
    }

    public ChaCha20Poly1305 NewCipher() => new(_key);
}
