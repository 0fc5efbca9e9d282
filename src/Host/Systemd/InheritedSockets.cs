using System.Collections;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using ZeroFlow.Host.Configuration;

namespace ZeroFlow.Host.Systemd;

/// <summary>
/// Sockets on which a service manager listens for this server, by the protocol of sd_listen_fds(3): descriptors from 3
/// on, their number in LISTEN_FDS, their names in LISTEN_FDNAMES, all of it for the process that LISTEN_PID names.
/// </summary>
/// <remarks>
/// The manager keeps the sockets open while the server restarts: clients that connect meanwhile wait in their backlog.
/// So they are never given the close-on-exec flag: .NET shuts a listening socket down when it is disposed, for all who
/// share it, unless the flag is missing. The server starts no processes that could inherit them.
/// </remarks>
/// <param name="Nbd">For NBD clients; none when nothing was handed over.</param>
/// <param name="Admin">For the admin endpoint, if any.</param>
internal sealed partial record InheritedSockets(IReadOnlyList<Socket> Nbd, Socket? Admin)
{
    /// <summary>Nothing was handed over.</summary>
    public static readonly InheritedSockets None = new([], null);

    private const int FirstDescriptor = 3;
    private const int GetDescriptorFlags = 1;
    private const string NbdName = "nbd";
    private const string AdminName = "admin";

    /// <summary>Takes what was handed over to <paramref name="processId"/>; each descriptor that will not do is an error.</summary>
    public static InheritedSockets Read(IDictionary environment, int processId, ConfigurationErrors errors)
    {
        // Variables for another process came here by inheritance, and mean nothing.
        if (environment["LISTEN_PID"] as string != processId.ToString(CultureInfo.InvariantCulture)) return None;
        if (!int.TryParse(environment["LISTEN_FDS"] as string, NumberStyles.None, CultureInfo.InvariantCulture, out int count))
        {
            errors.Add("LISTEN_PID is set, but LISTEN_FDS is not a number: socket activation is incomplete.");
            return None;
        }

        string[] names = environment["LISTEN_FDNAMES"] is string { Length: > 0 } list ? list.Split(':') : [];
        if (names.Length != 0 && names.Length != count)
        {
            errors.Add($"LISTEN_FDNAMES has {names.Length} names for {count} descriptors.");
            return None;
        }

        return Sort(count, names, errors);
    }

    /// <summary>What a socket listens on, for people.</summary>
    public static string Describe(Socket socket) => socket.LocalEndPoint?.ToString() ?? "an unnamed socket";

    private static InheritedSockets Sort(int count, string[] names, ConfigurationErrors errors)
    {
        var nbd = new List<Socket>();
        Socket? admin = null;
        for (int i = 0; i < count; i++)
        {
            string name = names.Length > 0 ? names[i] : NbdName;
            if (TryTake(FirstDescriptor + i, name, errors) is not { } socket) continue;
            if (IsNbd(name)) nbd.Add(socket);
            else if (name != AdminName) Refuse(FirstDescriptor + i, name, errors, "has a name that says nothing; FileDescriptorName= must be nbd or admin");
            else if (admin is not null) Refuse(FirstDescriptor + i, name, errors, "is the second for the admin endpoint, which has one");
            else admin = socket;
        }

        return new InheritedSockets(nbd, admin);
    }

    // Without FileDescriptorName= a socket has the name of its unit; without systemd, "unknown".
    private static bool IsNbd(string name) =>
        name is NbdName or "unknown" || name.EndsWith(".socket", StringComparison.Ordinal);

    private static Socket? TryTake(int descriptor, string name, ConfigurationErrors errors)
    {
        if (name == "connection")
        {
            Refuse(descriptor, name, errors, "is one connection; the socket unit needs Accept=no");
            return null;
        }

        // What lacks the close-on-exec flag came from outside; a number that was not handed over may be the runtime's own.
        if (FileControl(descriptor, GetDescriptorFlags, 0) != 0)
        {
            Refuse(descriptor, name, errors, "is not open");
            return null;
        }

        var socket = new Socket(new SafeSocketHandle(descriptor, ownsHandle: true));
        bool isStream = socket.SocketType == SocketType.Stream
            && socket.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6 or AddressFamily.Unix;
        if (isStream && IsListening(socket)) return socket;
        Refuse(
            descriptor, name, errors,
            isStream ? "does not listen; the socket unit needs Accept=no" : "is not a TCP or Unix stream socket; use ListenStream=");
        return null;
    }

    private static bool IsListening(Socket socket) =>
        socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.AcceptConnection) is not 0;

    [LibraryImport("libc", EntryPoint = "fcntl")]
    private static partial int FileControl(int descriptor, int command, int argument);

    private static void Refuse(int descriptor, string name, ConfigurationErrors errors, string problem) =>
        errors.Add($"Descriptor {descriptor} (\"{name}\"), handed over by socket activation, {problem}.");
}
