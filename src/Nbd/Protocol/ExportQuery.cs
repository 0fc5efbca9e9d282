using System.Buffers.Binary;
using System.Text;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>What an INFO or GO option asks for.</summary>
/// <param name="Name">Name of the export.</param>
/// <param name="WantsName">The client asked for the export's own name.</param>
/// <param name="WantsDescription">The client asked for the export's description.</param>
/// <param name="WantsBlockSize">The client asked for the block sizes.</param>
internal readonly record struct ExportQuery(string Name, bool WantsName, bool WantsDescription, bool WantsBlockSize)
{
    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Reads the data of an INFO or GO option; false when it is malformed.</summary>
    public static bool TryParse(ReadOnlySpan<byte> data, out ExportQuery query)
    {
        query = default;
        if (data.Length < 6) return false;
        uint nameLength = BinaryPrimitives.ReadUInt32BigEndian(data);
        if (nameLength > data.Length - 6) return false;
        if (!TryParseName(data.Slice(4, (int)nameLength), out string name)) return false;

        ReadOnlySpan<byte> requests = data[(4 + (int)nameLength)..];
        int count = BinaryPrimitives.ReadUInt16BigEndian(requests);
        requests = requests[2..];
        if (requests.Length != count * 2) return false;

        query = new ExportQuery(name, false, false, false);
        for (int i = 0; i < count; i++)
        {
            query = (NbdInfo)BinaryPrimitives.ReadUInt16BigEndian(requests[(i * 2)..]) switch
            {
                NbdInfo.Name => query with { WantsName = true },
                NbdInfo.Description => query with { WantsDescription = true },
                NbdInfo.BlockSize => query with { WantsBlockSize = true },
                _ => query,
            };
        }

        return true;
    }

    /// <summary>Reads the name of an export; false when it is too long, not UTF-8 or contains a NUL.</summary>
    public static bool TryParseName(ReadOnlySpan<byte> bytes, out string name)
    {
        name = "";
        if (bytes.Length > NbdConstants.StringBytesMax || bytes.Contains((byte)0)) return false;
        try
        {
            name = s_strictUtf8.GetString(bytes);
            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }
}
