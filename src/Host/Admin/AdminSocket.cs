using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Win32.SafeHandles;
using ZeroFlow.Nbd.Transport;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Host.Admin;

/// <summary>
/// The Unix socket of the admin endpoint. Its owner alone can connect to it, so whoever does needs no token.
/// </summary>
internal static class AdminSocket
{
    /// <summary>True when a request came over the Unix socket.</summary>
    public static bool IsFromOwner(HttpContext context) => context.Features.Get<OwnersConnection>() is not null;

    /// <summary>Marks the connections of a listener as their owner's.</summary>
    public static void Mark(ListenOptions listen) => listen.Use(next => connection =>
    {
        connection.Features.Set(new OwnersConnection());
        return next(connection);
    });

    /// <summary>True for a socket file that nobody but its owner may connect to; whoever made it chose its mode.</summary>
    public static bool IsForOwnerOnly(string path)
    {
        const UnixFileMode others = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;
        return File.Exists(path) && (File.GetUnixFileMode(path) & others) == 0;
    }

    /// <summary>
    /// Binds a socket that Kestrel listens on. A Unix socket has its permission before it has a name; a file that a dead
    /// server left behind is replaced.
    /// </summary>
    /// <exception cref="StorageFaultException">The Unix socket is in use or cannot be made; the message is one sentence.</exception>
    public static Socket Bind(EndPoint endpoint)
    {
        if (endpoint is not UnixDomainSocketEndPoint unix) return SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
        string path = unix.ToString();
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            SocketFile.RemoveAbandoned(path, unix);
            using var file = new SafeFileHandle(socket.Handle, ownsHandle: false);
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            socket.Bind(unix);
            return socket;
        }
        catch (Exception fault) when (fault is SocketException or IOException or UnauthorizedAccessException)
        {
            socket.Dispose();
            string reason = fault is SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse }
                ? "it is in use; choose another path, or stop what uses it"
                : fault.Message.TrimEnd('.');
            throw new StorageFaultException(
                FaultKind.Invalid, $"The admin socket {path} (--admin-socket) cannot be listened on: {reason}.", fault);
        }
    }

    private sealed class OwnersConnection;
}
