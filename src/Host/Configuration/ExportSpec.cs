using System.Diagnostics.CodeAnalysis;
using System.Text;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Host.Configuration;

/// <summary>An export that is to exist once the server runs.</summary>
/// <param name="Name">Name that clients attach by.</param>
/// <param name="SizeBytes">Size of the device when it is made; one that exists keeps its own.</param>
/// <param name="Level">What FLUSH waits for; null for what the export has, or journaled when it is made.</param>
/// <param name="WriteThrough">Writes are answered only when they are durable; false leaves the export as it is.</param>
internal sealed record ExportSpec(string Name, long SizeBytes, DurabilityLevel? Level, bool WriteThrough = false)
{
    /// <summary>What an export may look like, for messages.</summary>
    public const string Form =
        "NAME:SIZE[:LEVEL[:write-through]], with a name of 1 to 255 bytes without ':', ',', '@' or control characters, a size up to 16T"
        + " in bytes or with K, M, G or T (1024 each) that is a multiple of 512, and the level journaled"
        + " (default for a new export) or published";

    // The limits are those of the store, which checks them again: here they are found before anything is opened.
    private const long SizeBytesMax = 16L << 40;
    private const int SectorBytes = 512;
    private const int NameBytesMax = 255;

    /// <summary>Reads <see cref="Form"/>.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out ExportSpec? export)
    {
        export = null;
        string[] parts = text.Split(':');
        if (parts.Length is < 2 or > 4 || !IsName(parts[0])) return false;
        if (!Quantities.TryParseSize(parts[1], out long size)) return false;
        if (size is < SectorBytes or > SizeBytesMax || size % SectorBytes != 0) return false;
        DurabilityLevel? level = null;
        if (parts.Length >= 3 && !TryParseLevel(parts[2], out level)) return false;
        if (parts.Length == 4 && parts[3] != "write-through") return false;
        export = new ExportSpec(parts[0], size, level, parts.Length == 4);
        return true;
    }

    /// <summary>True for what can be the name of an export.</summary>
    public static bool IsName(string name) =>
        name.Length > 0 && Encoding.UTF8.GetByteCount(name) <= NameBytesMax && !name.Contains(',')
        && !name.Contains('@') && !name.Any(char.IsControl);

    private static bool TryParseLevel(string text, out DurabilityLevel? level)
    {
        level = text == "published" ? DurabilityLevel.Published : DurabilityLevel.Journaled;
        return text is "published" or "journaled";
    }
}
