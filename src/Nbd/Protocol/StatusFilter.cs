using System.Buffers.Binary;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>
/// The payload of an extended BLOCK_STATUS: how much it is about, and which of the selected contexts (doc/proto.md,
/// NBD_FLAG_BLOCK_STATUS_PAYLOAD).
/// </summary>
internal static class StatusFilter
{
    /// <summary>Most bytes of a payload that can be right: each context is named once.</summary>
    public const int BytesMax = 8 + (4 * MetaSelection.ContextsMax);

    /// <summary>Reads the payload; false when it names no context, one twice, or one that is not selected.</summary>
    public static bool TryParse(ReadOnlySpan<byte> payload, int contexts, out ulong length, out uint wanted)
    {
        length = 0;
        wanted = 0;
        if (payload.Length < 12 || payload.Length % 4 != 0) return false;
        length = BinaryPrimitives.ReadUInt64BigEndian(payload);
        for (payload = payload[8..]; !payload.IsEmpty; payload = payload[4..])
        {
            uint id = BinaryPrimitives.ReadUInt32BigEndian(payload);
            if (id == 0 || id > contexts) return false;
            uint bit = 1u << (int)(id - 1);
            if ((wanted & bit) != 0) return false;
            wanted |= bit;
        }

        return true;
    }
}
