using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace ZeroFlow.SystemTests.Wire;

/// <summary>
/// A connection by way of GnuTLS, the library under libnbd and QEMU, for what their tools do only after hundreds of
/// gigabytes: new keys in the middle of a session.
/// </summary>
internal sealed partial class GnuTlsClient : IDisposable
{
    private const string Library = "libgnutls.so.30";
    private const uint IsClient = 2;
    private const int CertificateCredentials = 1;
    private const int Interrupted = -52;
    private const int Again = -28;

    private readonly Socket _socket;
    private readonly nint _session;
    private readonly nint _credentials;

    /// <summary>Starts TLS with the certificate in a folder, on a connection that has just been made.</summary>
    public GnuTlsClient(int port, string certificates)
    {
        _socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        _socket.Connect("127.0.0.1", port);
        byte[] plain = new byte[20];
        Assert.Equal(18, _socket.Receive(plain.AsSpan(0, 18)));
        _socket.Send((ReadOnlySpan<byte>)[0, 0, 0, 3, .. "IHAVEOPT"u8, 0, 0, 0, 5, 0, 0, 0, 0]);
        Assert.Equal(20, _socket.Receive(plain));
        Assert.Equal(1u, BinaryPrimitives.ReadUInt32BigEndian(plain.AsSpan(12)));

        Check(Init(out _session, IsClient));
        Check(SetDefaultPriority(_session));
        Check(AllocateCredentials(out _credentials));
        Check(SetKeyFile(
            _credentials, Path.Combine(certificates, "client-cert.pem"), Path.Combine(certificates, "client-key.pem"), 1));
        Check(SetCredentials(_session, CertificateCredentials, _credentials));
        int handle = (int)_socket.Handle;
        SetTransport(_session, handle, handle);
        Check(Handshake(_session));
    }

    public void Send(params byte[] bytes)
    {
        for (ReadOnlySpan<byte> rest = bytes; rest.Length > 0;)
        {
            nint sent = RecordSend(_session, rest, (nuint)rest.Length);
            Check(sent);
            rest = rest[(int)sent..];
        }
    }

    public byte[] Read(int count)
    {
        var bytes = new byte[count];
        for (var rest = bytes.AsSpan(); rest.Length > 0;)
        {
            nint received = RecordReceive(_session, rest, (nuint)rest.Length);
            if (received is Interrupted or Again) continue;
            Check(received);
            Assert.NotEqual(0, received);
            rest = rest[(int)received..];
        }

        return bytes;
    }

    /// <summary>Takes new keys, and with <paramref name="both"/> wants the server to take some, too.</summary>
    public void UpdateKeys(bool both) => Check(KeyUpdate(_session, both ? 1u : 0u));

    public void Dispose()
    {
        Deinit(_session);
        FreeCredentials(_credentials);
        _socket.Dispose();
    }

    private static void Check(nint result) => Assert.True(result >= 0, $"GnuTLS failed with {result}");

    [LibraryImport(Library, EntryPoint = "gnutls_init")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Init(out nint session, uint flags);

    [LibraryImport(Library, EntryPoint = "gnutls_deinit")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void Deinit(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_set_default_priority")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetDefaultPriority(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_allocate_credentials")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int AllocateCredentials(out nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_free_credentials")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void FreeCredentials(nint credentials);

    [LibraryImport(
        Library, EntryPoint = "gnutls_certificate_set_x509_key_file", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetKeyFile(nint credentials, string certificate, string key, int format);

    [LibraryImport(Library, EntryPoint = "gnutls_credentials_set")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SetCredentials(nint session, int kind, nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_transport_set_int2")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial void SetTransport(nint session, int receive, int send);

    [LibraryImport(Library, EntryPoint = "gnutls_handshake")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Handshake(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_record_send")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint RecordSend(nint session, ReadOnlySpan<byte> bytes, nuint count);

    [LibraryImport(Library, EntryPoint = "gnutls_record_recv")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint RecordReceive(nint session, Span<byte> bytes, nuint count);

    [LibraryImport(Library, EntryPoint = "gnutls_session_key_update")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int KeyUpdate(nint session, uint flags);
}
