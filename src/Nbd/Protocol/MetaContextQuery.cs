using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>What a LIST_META_CONTEXT or SET_META_CONTEXT option asks for (doc/proto.md, "Metadata querying").</summary>
/// <param name="Export">Name of the export.</param>
/// <param name="Queries">What it asks for; LIST without a query means all contexts, SET none.</param>
internal readonly record struct MetaContextQuery(string Export, IReadOnlyList<string> Queries)
{
    /// <summary>Reads the data of the option; false when it is malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> data, out MetaContextQuery query)
    {
        query = default;
        if (!TryTakeString(ref data, out ReadOnlySpan<byte> name) || !ExportQuery.TryParseName(name, out string export))
            return false;
        if (data.Length < 4) return false;
        uint count = BinaryPrimitives.ReadUInt32BigEndian(data);
        data = data[4..];
        var queries = new List<string>();
        for (uint i = 0; i < count; i++)
        {
            // Each query takes bytes of the data, so a count that lies ends here.
            if (!TryTakeString(ref data, out ReadOnlySpan<byte> wanted) || wanted.Length > NbdConstants.StringBytesMax)
                return false;

            // One that is no text names nothing that there is.
            queries.Add(ExportQuery.TryParseName(wanted, out string text) ? text : "");
        }

        query = new MetaContextQuery(export, queries);
        return data.IsEmpty;
    }

    /// <summary>
    /// Whether LIST names the context: every query that it matches, a namespace in full, or a part of one that ends at a
    /// colon.
    /// </summary>
    public bool Lists(string context) => Queries.Count == 0
        || Queries.Any(query => query == context || (query.EndsWith(':') && context.StartsWith(query, StringComparison.Ordinal)));

    /// <summary>Whether SET selects the context, which has to be named in full.</summary>
    public bool Selects(string context) => Queries.Contains(context, StringComparer.Ordinal);

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
