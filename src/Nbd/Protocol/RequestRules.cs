using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>Decides which requests an export takes, and with which error it refuses the others.</summary>
internal static class RequestRules
{
    /// <summary>Largest READ or WRITE that is served, in bytes.</summary>
    /// <remarks>
    /// Twice what is advertised: clients that never ask for block sizes send up to about 50 MB. It is also the
    /// largest buffer of the pool.
    /// </remarks>
    public const int PayloadBytesMax = 64 * 1024 * 1024;

    /// <summary>Checks a request against <paramref name="export"/> and what was agreed on.</summary>
    /// <returns><see cref="NbdError.None"/> when it may be started.</returns>
    public static NbdError Check(in RequestHeader header, ExportInfo export, SessionTerms terms)
    {
        if ((header.Flags & ~AllowedFlags(header.Command, terms)) != 0) return NbdError.Invalid;
        switch (header.Command)
        {
            case NbdCommand.Flush:
                // Offset and length are reserved. A flush with garbage in them is still a flush: refusing it could
                // only lose data.
                return NbdError.None;
            case NbdCommand.Read or NbdCommand.Write when header.Length > PayloadBytesMax:
                return NbdError.Invalid;
            case NbdCommand.Read or NbdCommand.Cache:
                return CheckRange(header, export, NbdError.Invalid);
            case NbdCommand.BlockStatus:
                return header.Length == 0 || terms.ContextsOf(export.Name).Count == 0
                    ? NbdError.Invalid
                    : CheckRange(header, export, NbdError.Invalid);
            case NbdCommand.Write when !header.HasPayload:
                return NbdError.Invalid;
            case NbdCommand.Write or NbdCommand.WriteZeroes:
                return export.IsReadOnly ? NbdError.NotPermitted : CheckRange(header, export, NbdError.NoSpace);
            case NbdCommand.Trim:
                return export.IsReadOnly ? NbdError.NotPermitted : CheckRange(header, export, NbdError.Invalid);
            default:
                return NbdError.Invalid;
        }
    }

    /// <summary>What is told of <paramref name="export"/> to a client that attaches it.</summary>
    public static TransmissionFlags FlagsOf(ExportInfo export, SessionTerms terms)
    {
        // Zeroing is one record in the log whatever its length, which is why "fast zero" is always true. A read-only
        // export keeps the flags of the commands that it refuses: the client goes by the read-only bit.
        const TransmissionFlags Always = TransmissionFlags.HasFlags | TransmissionFlags.SendTrim
            | TransmissionFlags.SendWriteZeroes | TransmissionFlags.CanMultiConn | TransmissionFlags.SendCache
            | TransmissionFlags.SendFastZero;
        TransmissionFlags flags = Always;
        if (export.IsReadOnly) flags |= TransmissionFlags.ReadOnly;

        // Without a write cache there is nothing to flush. A client that flushes all the same is served.
        if (!export.WriteThrough) flags |= TransmissionFlags.SendFlush | TransmissionFlags.SendFua;
        if (terms.HasChunks) flags |= TransmissionFlags.SendDontFragment;
        bool filtersStatus = terms.IsExtended && terms.ContextsOf(export.Name).Count > 0;
        return filtersStatus ? flags | TransmissionFlags.BlockStatusPayload : flags;
    }

    // A payload where none belongs was taken off the stream before the flag is refused here.
    private static CommandFlags AllowedFlags(NbdCommand command, SessionTerms terms) => command switch
    {
        NbdCommand.WriteZeroes => CommandFlags.ForceUnitAccess | CommandFlags.NoHole | CommandFlags.FastZero,
        NbdCommand.Read when terms.HasChunks => CommandFlags.ForceUnitAccess | CommandFlags.DontFragment,
        NbdCommand.Write when terms.IsExtended => CommandFlags.ForceUnitAccess | CommandFlags.PayloadLength,
        NbdCommand.BlockStatus when terms.IsExtended =>
            CommandFlags.ForceUnitAccess | CommandFlags.RequireOne | CommandFlags.PayloadLength,
        NbdCommand.BlockStatus => CommandFlags.ForceUnitAccess | CommandFlags.RequireOne,
        _ => CommandFlags.ForceUnitAccess,
    };

    private static NbdError CheckRange(in RequestHeader header, ExportInfo export, NbdError pastEnd)
    {
        if (header.Offset > long.MaxValue || header.Length > long.MaxValue) return pastEnd;
        return new BlockRange((long)header.Offset, (long)header.Length).FitsIn(export.SizeBytes)
            ? NbdError.None
            : pastEnd;
    }
}
