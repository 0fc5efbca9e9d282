using System.Buffers.Binary;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Stages.Tables;

namespace ZeroFlow.Stages.Journal;

/// <summary>A writer's term: an epoch and the random session that its seal names.</summary>
public readonly record struct WriterTerm(uint Epoch, Guid Session);

/// <summary>
/// Who this WAL is: the terms whose writer it belongs to. The last is the newest; the ones before it were meant to be
/// taken, and a crash may have come before or after their seals were put.
/// </summary>
public sealed record WalTerm(Guid StoreId, IReadOnlyList<WriterTerm> Terms);

/// <summary>The small file <c>term</c> beside the segments.</summary>
internal static class WalTermFile
{
    private const string Name = "term";
    private const uint Magic = 0x5457_465A; // "ZFWT"
    private const uint Version = 1;
    private const int HeadBytes = 28;
    private const int TermBytes = 20;

    // Failed starts add a term each. Beyond this many the oldest of those go; the first term stays for ever, because it
    // is the one that was in force, and still is if no start's seal ever reached the bucket.
    private const int TermsMax = 1024;

    /// <summary>Reads the file, or null when there is none.</summary>
    /// <exception cref="StorageFaultException">It is damaged.</exception>
    public static WalTerm? Read(IWalDisk disk)
    {
        byte[]? bytes = disk.TryReadSmallFile(Name);
        if (bytes is null) return null;
        if (bytes.Length < HeadBytes + 4 || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic ||
            BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(^4..)) != TableIdentity.Checksum(bytes.AsSpan(..^4)))
            throw Damaged(disk);
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(4)) != Version)
        {
            throw new StorageFaultException(
                FaultKind.Invalid, $"The WAL in {disk.Location} has a newer format than this program knows. Use a newer ZeroFlow.");
        }

        int count = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(24));
        if (count < 0 || bytes.Length != HeadBytes + ((long)count * TermBytes) + 4) throw Damaged(disk);
        var terms = new WriterTerm[count];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> term = bytes.AsSpan(HeadBytes + (i * TermBytes), TermBytes);
            terms[i] = new WriterTerm(BinaryPrimitives.ReadUInt32LittleEndian(term), new Guid(term[4..]));
        }

        return new WalTerm(new Guid(bytes.AsSpan(8, 16)), terms);
    }

    /// <summary>Replaces the file, durably.</summary>
    public static void Write(IWalDisk disk, WalTerm term)
    {
        WriterTerm[] terms = [.. term.Terms.Take(1), .. term.Terms.Skip(1).TakeLast(TermsMax - 1)];
        byte[] bytes = new byte[HeadBytes + (terms.Length * TermBytes) + 4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), Version);
        term.StoreId.TryWriteBytes(bytes.AsSpan(8));
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(24), terms.Length);
        for (int i = 0; i < terms.Length; i++)
        {
            Span<byte> target = bytes.AsSpan(HeadBytes + (i * TermBytes));
            BinaryPrimitives.WriteUInt32LittleEndian(target, terms[i].Epoch);
            terms[i].Session.TryWriteBytes(target[4..]);
        }

        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(^4..), TableIdentity.Checksum(bytes.AsSpan(..^4)));
        disk.ReplaceSmallFile(Name, bytes);
    }
    private static StorageFaultException Damaged(IWalDisk disk) => StorageFaultException.Corrupt(
        $"The file {Name} in {disk.Location} is damaged; without it the WAL there cannot be replayed.");
}
