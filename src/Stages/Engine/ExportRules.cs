using System.Globalization;
using System.Text;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Stages.Engine;

/// <summary>What an export may be.</summary>
internal static class ExportRules
{
    /// <summary>Bytes of a name: clients send up to 4096, but a name is also shown, logged and used as a label.</summary>
    public const int NameBytesMax = 255;

    /// <summary>16 TiB: where the page table of a map with 16 KiB chunks is still a few MiB.</summary>
    public const long SizeBytesMax = 16L << 40;

    /// <summary>Bytes of a description: clients receive it whole while they negotiate, as a string of at most 4096.</summary>
    public const int DescriptionBytesMax = 1024;

    private const int SectorBytes = 512;

    public static void Check(string name, long sizeBytes)
    {
        CheckName(name);
        if (sizeBytes is < SectorBytes or > SizeBytesMax || sizeBytes % SectorBytes != 0)
        {
            throw new StorageFaultException(
                FaultKind.Invalid,
                string.Create(CultureInfo.InvariantCulture, $"The size {sizeBytes} of export '{name}' is not allowed: a multiple of {SectorBytes} bytes, up to 16T."));
        }
    }

    /// <summary>The unit of settled storage.</summary>
    public static void CheckChunk(int chunkBytes)
    {
        if (chunkBytes is >= 16 * 1024 and <= 1024 * 1024 && int.IsPow2(chunkBytes)) return;
        throw new StorageFaultException(
            FaultKind.Invalid,
            string.Create(CultureInfo.InvariantCulture, $"A chunk of {chunkBytes} bytes is not allowed: a power of two from 16 KiB to 1 MiB."));
    }

    /// <summary>The zstd level; zero is none.</summary>
    public static void CheckCompression(int level)
    {
        if (level is >= 0 and <= 19) return;
        throw new StorageFaultException(
            FaultKind.Invalid, string.Create(CultureInfo.InvariantCulture, $"The compression level {level} is not allowed: 0 (none) to 19."));
    }

    public static void CheckName(string name)
    {
        if (name.Length == 0 || Encoding.UTF8.GetByteCount(name) > NameBytesMax || name.Any(char.IsControl) || name.Contains('@', StringComparison.Ordinal))
        {
            throw new StorageFaultException(
                FaultKind.Invalid,
                $"The export name '{name}' is not allowed: 1 to {NameBytesMax} bytes, without control characters and '@'.");
        }
    }

    public static void CheckDescription(string description)
    {
        if (Encoding.UTF8.GetByteCount(description) <= DescriptionBytesMax && !description.Any(char.IsControl)) return;
        throw new StorageFaultException(
            FaultKind.Invalid, $"The description is not allowed: up to {DescriptionBytesMax} bytes, without control characters.");
    }

    /// <summary>The whole name of a snapshot, as clients attach by it.</summary>
    public static void CheckSnapshotName(string name)
    {
        if (Encoding.UTF8.GetByteCount(name) <= NameBytesMax) return;
        throw new StorageFaultException(
            FaultKind.Invalid, $"The name '{name}' has more than {NameBytesMax} bytes.");
    }
}
