using System.Buffers.Binary;
using ZeroFlow.Nbd.Access;
using ZeroFlow.Nbd.Protocol;
using ZeroFlow.Nbd.Transport;
using ZeroFlow.Pipeline.Blocks;
using ZeroFlow.Pipeline.Device;
using ZeroFlow.Pipeline.Faults;
using ZeroFlow.Pipeline.Memory;

namespace ZeroFlow.Nbd.Connections;

/// <summary>
/// The fixed newstyle handshake (doc/proto.md, "Newstyle negotiation"): greeting, then options until the client
/// attaches an export or leaves. Runs on the thread of its connection.
/// </summary>
internal sealed class Handshake : IDisposable
{
    private const HandshakeFlags Offered = HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes;
    private const int OptionHeaderSize = 16;

    private readonly ReceiveBuffer _input;
    private readonly ConnectionServices _services;
    private readonly Func<(IWireTransport Transport, ClientIdentity Client)> _startTls;
    private readonly Action _onChosen;
    private readonly OptionAnswer _answer = new();
    private IExportDirectory _exports;
    private IWireTransport _transport;
    private HandshakeFlags _clientFlags;
    private SessionTerms _terms = SessionTerms.Initial;
    private bool _isTlsDue;
    private bool _isSecure;

    /// <param name="transport">The connection, without TLS.</param>
    /// <param name="input">What comes from it.</param>
    /// <param name="services">What the server provides.</param>
    /// <param name="client">Who the client is without TLS.</param>
    /// <param name="startTls">
    /// Does the TLS handshake, and returns what the connection goes on over, and who the client is with it.
    /// </param>
    /// <param name="onChosen">Called before the client is told that it has its export; may throw.</param>
    public Handshake(
        IWireTransport transport, ReceiveBuffer input, ConnectionServices services, ClientIdentity client,
        Func<(IWireTransport Transport, ClientIdentity Client)> startTls, Action onChosen)
    {
        _startTls = startTls;
        _onChosen = onChosen;
        _transport = transport;
        _input = input;
        _services = services;
        _exports = ViewOf(client);
    }

    /// <summary>What was agreed on.</summary>
    public SessionTerms Terms => _terms;

    /// <summary>Haggles until the client attaches an export; null when it left without one.</summary>
    /// <exception cref="NbdProtocolException">The client broke the protocol.</exception>
    public IBlockDevice? Run()
    {
        Span<byte> greeting = stackalloc byte[18];
        BinaryPrimitives.WriteUInt64BigEndian(greeting, NbdConstants.GreetingMagic);
        BinaryPrimitives.WriteUInt64BigEndian(greeting[8..], NbdConstants.OptionMagic);
        BinaryPrimitives.WriteUInt16BigEndian(greeting[16..], (ushort)Offered);
        _transport.Send(greeting);
        if (!ReadClientFlags()) return null;

        while (_input.Fill(OptionHeaderSize))
        {
            ulong magic = BinaryPrimitives.ReadUInt64BigEndian(_input.Unread);
            var option = (NbdOption)BinaryPrimitives.ReadUInt32BigEndian(_input.Unread[8..]);
            uint length = BinaryPrimitives.ReadUInt32BigEndian(_input.Unread[12..]);
            if (magic != NbdConstants.OptionMagic)
                throw new NbdProtocolException($"An option began with 0x{magic:x16} instead of the option magic.");
            _input.Consume(OptionHeaderSize);
            if (!HandleOption(option, length, out bool isOver, out IBlockDevice? device)) return null;
            if (isOver) return device;
        }

        return null;
    }

    private IExportDirectory ViewOf(ClientIdentity client) =>
        AdmittedExports.For(client, _services.Exports, _services.Access, _services.Log);

    private bool IsFixedNewstyle => (_clientFlags & HandshakeFlags.FixedNewstyle) != 0;

    private bool MustStartTls => !_isSecure && _services.Tls is { IsRequired: true };

    private bool ReadClientFlags()
    {
        if (!_input.Fill(4)) return false;
        uint flags = BinaryPrimitives.ReadUInt32BigEndian(_input.Unread);
        if ((flags & ~(uint)Offered) != 0)
            throw new NbdProtocolException($"The client answered the greeting with unknown flags: 0x{flags:x8}.");
        _clientFlags = (HandshakeFlags)flags;
        if (MustStartTls && !IsFixedNewstyle)
            throw new NbdProtocolException("The client cannot start TLS, which needs the fixed newstyle.");
        _input.Consume(4);
        return true;
    }

    /// <summary>
    /// Takes one option off the stream and answers it; false when the stream ended in the middle of it.
    /// </summary>
    private bool HandleOption(NbdOption option, uint length, out bool isOver, out IBlockDevice? device)
    {
        isOver = false;
        device = null;
        _answer.Clear();
        if (length > _services.Options.OptionBytesMax)
        {
            if (!SkipOversized(option, length)) return false;
        }
        else
        {
            BufferLease data = _services.Pool.Rent((int)length);
            try
            {
                if (!_input.ReadInto(data.Span)) return false;
                isOver = Answer(option, data.Span, ref device);
            }
            finally
            {
                data.Release();
            }
        }

        if (device is not null) _onChosen();
        if (option == NbdOption.Abort) SendLast();
        else if (!_answer.Bytes.IsEmpty) _transport.Send(_answer.Bytes);
        if (_isTlsDue) StartTls();
        isOver |= option == NbdOption.Abort;
        return true;
    }

    private bool SkipOversized(NbdOption option, uint length)
    {
        if (length > _services.Options.OptionSkipBytesMax || option == NbdOption.ExportName)
            throw new NbdProtocolException($"The client sent option {(uint)option} with {length} bytes of data.");
        if (!_input.Skip(length)) return false;

        // A selection that fails voids the earlier one, whatever it fails of.
        if (option == NbdOption.SetMetaContext) Select(null);
        if (option == NbdOption.Abort)
            _answer.Ack(option);
        else if (MustStartTls && option != NbdOption.StartTls)
            TlsRequired(option);
        else if (option == NbdOption.StartTls)
            AnswerStartTls(hasData: true);
        else if (IsServed(option))
            _answer.Error(option, NbdOptionReply.ErrorTooBig, "The option's data is too long.");
        else
            Unsupported(option);
        return true;
    }

    /// <summary>Answers an option whose data are complete; true when the handshake is over.</summary>
    private bool Answer(NbdOption option, ReadOnlySpan<byte> data, ref IBlockDevice? device)
    {
        if (option == NbdOption.Abort)
            _answer.Ack(option);
        else if (option == NbdOption.ExportName)
            return AnswerExportName(data, ref device);
        else if (MustStartTls && option != NbdOption.StartTls)
            TlsRequired(option);
        else if (_services.Stop.IsRequested)
            _answer.Error(option, NbdOptionReply.ErrorShutdown, "The server is shutting down.");
        else if (option == NbdOption.StartTls)
            AnswerStartTls(hasData: !data.IsEmpty);
        else if (option == NbdOption.List)
            AnswerList(data);
        else if (option is NbdOption.Info or NbdOption.Go)
            return AnswerInfo(option, data, ref device);
        else if (option == NbdOption.StructuredReply)
            AnswerStructuredReply(data);
        else if (option == NbdOption.ExtendedHeaders)
            AnswerExtendedHeaders(data);
        else if (option is NbdOption.ListMetaContext or NbdOption.SetMetaContext)
            AnswerMetaContext(option, data);
        else
            Unsupported(option);
        return false;
    }

    private bool AnswerExportName(ReadOnlySpan<byte> data, ref IBlockDevice? device)
    {
        // The option has no error answer: the protocol wants the session ended without another byte.
        // So it does for a client that has agreed on extended headers, which must not use it.
        if (MustStartTls || _terms.IsExtended || _services.Stop.IsRequested || !ExportQuery.TryParseName(data, out string name)
            || !_exports.TryOpen(name, out IBlockDevice? opened))
        {
            return true;
        }

        _answer.ExportName(opened.Info, _terms, padded: (_clientFlags & HandshakeFlags.NoZeroes) == 0);
        device = opened;
        return true;
    }

    private void AnswerStartTls(bool hasData)
    {
        const NbdOption Option = NbdOption.StartTls;
        if (_services.Tls is null)
        {
            Unsupported(Option);
            return;
        }

        if (!IsFixedNewstyle)
        {
            _answer.Error(Option, NbdOptionReply.ErrorPolicy, "TLS needs the fixed newstyle.");
            return;
        }

        if (hasData || _isSecure)
        {
            string reason = hasData ? "STARTTLS takes no data." : "TLS is in use already.";
            _answer.Error(Option, NbdOptionReply.ErrorInvalid, reason);
            return;
        }

        // A client waits for the acknowledgement. What is here already came without TLS, perhaps from somebody in the
        // middle, and must never be taken for something that came with it.
        if (!_input.Unread.IsEmpty)
            throw new NbdProtocolException("Bytes without TLS came behind STARTTLS.");
        _answer.Ack(Option);
        _isTlsDue = true;
    }

    private void StartTls()
    {
        _isTlsDue = false;
        (_transport, ClientIdentity client) = _startTls();
        _exports = ViewOf(client);
        _input.ContinueOn(_transport);
        _isSecure = true;

        // What was agreed on without TLS may have been asked for by somebody in the middle.
        Select(null);
        _terms = SessionTerms.Initial;
    }

    private void AnswerList(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            _answer.Error(NbdOption.List, NbdOptionReply.ErrorInvalid, "LIST takes no data.");
            return;
        }

        foreach (ExportInfo export in _exports.List()) _answer.Server(NbdOption.List, export);
        _answer.Ack(NbdOption.List);
    }

    private bool AnswerInfo(NbdOption option, ReadOnlySpan<byte> data, ref IBlockDevice? device)
    {
        if (!ExportQuery.TryParse(data, out ExportQuery query))
        {
            _answer.Error(option, NbdOptionReply.ErrorInvalid, "The option's data is malformed.");
            return false;
        }

        if (TryFindExport(option, query.Name) is not { } opened) return false;
        _answer.Describe(option, query, opened.Info, _terms);
        if (option != NbdOption.Go) return false;
        device = opened;
        return true;
    }

    // Null, with the error answered, when it cannot be had.
    private IBlockDevice? TryFindExport(NbdOption option, string name)
    {
        try
        {
            if (_exports.TryOpen(name, out IBlockDevice? opened)) return opened;
            _answer.Error(option, NbdOptionReply.ErrorUnknown, "There is no such export.");
        }
        catch (StorageFaultException fault)
        {
            // The export exists and cannot be had now. No option error says that; the sentence does.
            _answer.Error(option, NbdOptionReply.ErrorUnknown, fault.Message);
        }

        return null;
    }

    private void AnswerStructuredReply(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            _answer.Error(NbdOption.StructuredReply, NbdOptionReply.ErrorInvalid, "STRUCTURED_REPLY takes no data.");
            return;
        }

        if (_terms.IsExtended)
        {
            _answer.Error(
                NbdOption.StructuredReply, NbdOptionReply.ErrorExtendedHeadersRequired, "Extended headers are agreed on already.");
            return;
        }

        _terms = _terms with { Replies = ReplyForm.Structured };
        _answer.Ack(NbdOption.StructuredReply);
    }

    private void AnswerExtendedHeaders(ReadOnlySpan<byte> data)
    {
        if (!data.IsEmpty)
        {
            _answer.Error(NbdOption.ExtendedHeaders, NbdOptionReply.ErrorInvalid, "EXTENDED_HEADERS takes no data.");
            return;
        }

        _terms = _terms with { Replies = ReplyForm.Extended };
        _answer.Ack(NbdOption.ExtendedHeaders);
    }

    private void AnswerMetaContext(NbdOption option, ReadOnlySpan<byte> data)
    {
        // An earlier selection is void even if this one fails.
        bool selects = option == NbdOption.SetMetaContext;
        if (selects) Select(null);
        if (!_terms.HasChunks)
        {
            _answer.Error(
                option, NbdOptionReply.ErrorInvalid, "Metadata contexts need structured replies or extended headers: ask for those first.");
            return;
        }

        if (!MetaContextQuery.TryParse(data, out MetaContextQuery query))
        {
            _answer.Error(option, NbdOptionReply.ErrorInvalid, "The option's data is malformed.");
            return;
        }

        if (TryFindExport(option, query.Export) is not { } device) return;
        ExportInfo export = device.Info;
        string[] names = [.. ContextsOf(export).Where(name => selects ? query.Selects(name) : query.Lists(name))];
        if (selects && names.Length > MetaSelection.ContextsMax)
        {
            _answer.Error(option, NbdOptionReply.ErrorTooBig, $"Select at most {MetaSelection.ContextsMax} contexts.");
            return;
        }

        if (selects) Select(MetaSelection.Of(export, names, _exports));
        IEnumerable<MetaContext> told =
            selects ? _terms.Selection!.Contexts : names.Select(static name => new MetaContext(0, name));
        foreach (MetaContext context in told) _answer.Context(option, context);
        _answer.Ack(option);
    }

    private void Select(MetaSelection? selection)
    {
        _terms.Selection?.Dispose();
        _terms = _terms with { Selection = selection };
    }

    private IEnumerable<string> ContextsOf(ExportInfo export)
    {
        yield return MetaContext.Allocation;
        ExportId origin = export.Snapshot?.Of ?? export.Id;
        foreach (ExportInfo other in _exports.List())
        {
            if (other.Snapshot is { } snapshot && snapshot.Of == origin && other.Id != export.Id)
                yield return MetaContext.ChangedSince(snapshot.Name);
        }
    }

    private static bool IsServed(NbdOption option) => option is NbdOption.List or NbdOption.Info or NbdOption.Go
        or NbdOption.StructuredReply or NbdOption.ExtendedHeaders or NbdOption.ListMetaContext
        or NbdOption.SetMetaContext;

    private void TlsRequired(NbdOption option) =>
        _answer.Error(option, NbdOptionReply.ErrorTlsRequired, "Start TLS first: the server serves nothing without.");

    private void Unsupported(NbdOption option) =>
        _answer.Error(option, NbdOptionReply.ErrorUnsupported, "The server does not know this option.");

    /// <summary>Lets go of the metadata contexts. The terms are not used any more.</summary>
    public void Dispose() => _terms.Selection?.Dispose();

    private void SendLast()
    {
        try
        {
            _transport.Send(_answer.Bytes);
        }
        catch (System.Net.Sockets.SocketException)
        {
            // A client that aborts need not wait for the acknowledgement.
        }
    }
}
