using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using ZeroFlow.Pipeline.Device;

namespace ZeroFlow.Nbd.Protocol;

/// <summary>Builds the bytes that answer one option. Reused for all options of a session; not thread-safe.</summary>
internal sealed class OptionAnswer
{
    private const int HeaderSize = 20;
    private const uint PreferredBlockBytes = 4096;
    private const uint AdvertisedPayloadBytes = 32 * 1024 * 1024;

    private readonly ArrayBufferWriter<byte> _bytes = new(256);

    /// <summary>What was built since <see cref="Clear"/>.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.WrittenSpan;

    /// <summary>Starts the next answer.</summary>
    public void Clear() => _bytes.ResetWrittenCount();

    /// <summary>Appends an acknowledgement.</summary>
    public void Ack(NbdOption option) => Header(option, NbdOptionReply.Ack, 0);

    /// <summary>Appends an error with a sentence for the person at the other end.</summary>
    public void Error(NbdOption option, NbdOptionReply error, string message)
    {
        Header(option, error, Encoding.UTF8.GetByteCount(message));
        Text(message);
    }

    /// <summary>Appends one entry of a list of exports.</summary>
    public void Server(NbdOption option, ExportInfo export)
    {
        int nameLength = Encoding.UTF8.GetByteCount(export.Name);
        Header(option, NbdOptionReply.Server, 4 + nameLength);
        UInt32((uint)nameLength);
        Text(export.Name);
    }

    /// <summary>
    /// Appends what <paramref name="query"/> asks about <paramref name="export"/>, and the acknowledgement.
    /// </summary>
    public void Describe(NbdOption option, in ExportQuery query, ExportInfo export, SessionTerms terms)
    {
        Info(option, NbdInfo.Export, 10);
        ExportSizeAndFlags(export, terms);
        if (query.WantsName) TextInfo(option, NbdInfo.Name, export.Name);
        if (query.WantsDescription && export.Description.Length > 0)
            TextInfo(option, NbdInfo.Description, export.Description);
        if (query.WantsBlockSize)
        {
            Info(option, NbdInfo.BlockSize, 12);
            UInt32(1);
            UInt32(PreferredBlockBytes);
            UInt32(AdvertisedPayloadBytes);
        }

        Ack(option);
    }

    /// <summary>Appends the answer to EXPORT_NAME, which has no header.</summary>
    public void ExportName(ExportInfo export, SessionTerms terms, bool padded)
    {
        ExportSizeAndFlags(export, terms);
        if (!padded) return;
        _bytes.GetSpan(NbdConstants.ExportNamePadding)[..NbdConstants.ExportNamePadding].Clear();
        _bytes.Advance(NbdConstants.ExportNamePadding);
    }

    /// <summary>Appends a metadata context.</summary>
    public void Context(NbdOption option, MetaContext context)
    {
        Header(option, NbdOptionReply.MetaContext, 4 + Encoding.UTF8.GetByteCount(context.Name));
        UInt32(context.Id);
        Text(context.Name);
    }

    private void ExportSizeAndFlags(ExportInfo export, SessionTerms terms)
    {
        Span<byte> span = _bytes.GetSpan(10);
        BinaryPrimitives.WriteUInt64BigEndian(span, (ulong)export.SizeBytes);
        BinaryPrimitives.WriteUInt16BigEndian(span[8..], (ushort)RequestRules.FlagsOf(export, terms));
        _bytes.Advance(10);
    }

    private void TextInfo(NbdOption option, NbdInfo kind, string text)
    {
        Info(option, kind, Encoding.UTF8.GetByteCount(text));
        Text(text);
    }

    private void Info(NbdOption option, NbdInfo kind, int length)
    {
        Header(option, NbdOptionReply.Info, 2 + length);
        BinaryPrimitives.WriteUInt16BigEndian(_bytes.GetSpan(2), (ushort)kind);
        _bytes.Advance(2);
    }

    private void Header(NbdOption option, NbdOptionReply reply, int length)
    {
        Span<byte> span = _bytes.GetSpan(HeaderSize);
        BinaryPrimitives.WriteUInt64BigEndian(span, NbdConstants.OptionReplyMagic);
        BinaryPrimitives.WriteUInt32BigEndian(span[8..], (uint)option);
        BinaryPrimitives.WriteUInt32BigEndian(span[12..], (uint)reply);
        BinaryPrimitives.WriteUInt32BigEndian(span[16..], (uint)length);
        _bytes.Advance(HeaderSize);
    }

    private void UInt32(uint value)
    {
        BinaryPrimitives.WriteUInt32BigEndian(_bytes.GetSpan(4), value);
        _bytes.Advance(4);
    }

    private void Text(string text) => Encoding.UTF8.GetBytes(text, _bytes);
}
