using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>What a LIST_META_CONTEXT or SET_META_CONTEXT option asks for (doc/proto.md, "Metadata querying").</summary>
/// <param name="Export">Name of the export.</param>
/// <param name="IsEmpty">There is no query: LIST means all contexts, SET means none.</param>
/// <param name="AsksAllocation">A query names <c>base:allocation</c>.</param>
/// <param name="AsksNamespace">A query is <c>base:</c>, which means all of them to LIST, and nothing to SET.</param>
internal readonly record struct MetaContextQuery(string Export, bool IsEmpty, bool AsksAllocation, bool AsksNamespace)
{
    /// <summary>The one context that is served: where an export has data, and where it has holes.</summary>
    public const string Allocation = "base:allocation";

    /// <summary>Its number within a session.</summary>
    public const uint AllocationId = 1;

    private static ReadOnlySpan<byte> AllocationBytes => "base:allocation"u8;

    private static ReadOnlySpan<byte> NamespaceBytes => "base:"u8;

    /// <summary>Reads the data of the option; false when it is malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> data, out MetaContextQuery query)
    {
        query = default;
        if (!TryTakeString(ref data, out ReadOnlySpan<byte> name) || !ExportQuery.TryParseName(name, out string export))
            return false;
        if (data.Length < 4) return false;
        uint count = BinaryPrimitives.ReadUInt32BigEndian(data);
        data = data[4..];
        query = new MetaContextQuery(export, count == 0, false, false);
        for (uint i = 0; i < count; i++)
        {
            // Each query takes bytes of the data, so a count that lies ends here.
            if (!TryTakeString(ref data, out ReadOnlySpan<byte> wanted) || wanted.Length > NbdConstants.StringBytesMax)
                return false;
            if (wanted.SequenceEqual(AllocationBytes)) query = query with { AsksAllocation = true };
            else if (wanted.SequenceEqual(NamespaceBytes)) query = query with { AsksNamespace = true };
        }

        return data.IsEmpty;
    }

    private static bool TryTakeString(ref ReadOnlySpan<byte> data, out ReadOnlySpan<byte> text)
    {
        text = default;
        if (data.Length < 4) return false;
        uint length = BinaryPrimitives.ReadUInt32BigEndian(data);
        if (length > data.Length - 4) return false;
        text = data.Slice(4, (int)length);
        data = data[(4 + (int)length)..];
        return true;
    }
}
