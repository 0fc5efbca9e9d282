using System.Net;
using System.Net.Sockets;
using ZeroFlow.Pipeline.Faults;

namespace ZeroFlow.Nbd.Transport;

/// <summary>Binds the sockets that a server accepts on, and says in one sentence why it cannot.</summary>
internal static class ListenSockets
{
    // A burst of clients that reconnect after a restart of the server; the kernel caps it at net.core.somaxconn.
    private const int Backlog = 512;

    /// <summary>Listens on a TCP address.</summary>
    /// <exception cref="StorageFaultException">The address is taken, not ours, or not allowed.</exception>
    public static Socket Bind(IPEndPoint endpoint)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        return Listen(socket, endpoint, "Choose another address, or stop what uses it.");
    }

    /// <summary>Listens on a Unix socket; a file that a dead server left behind is replaced.</summary>
    /// <exception cref="StorageFaultException">The path is taken, too long, or not allowed.</exception>
    public static Socket Bind(string path)
    {
        UnixDomainSocketEndPoint endpoint;
        try
        {
            endpoint = new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentException fault)
        {
            throw new StorageFaultException(
                FaultKind.Invalid, $"The Unix socket path '{path}' is empty or longer than the system allows.", fault);
        }

        SocketFile.RemoveAbandoned(path, endpoint);
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        return Listen(socket, endpoint, "Choose another path, or stop what uses it.");
    }

    private static Socket Listen(Socket socket, EndPoint endpoint, string advice)
    {
        try
        {
            socket.Bind(endpoint);
            socket.Listen(Backlog);
            return socket;
        }
        catch (SocketException fault)
        {
            socket.Dispose();
            string reason = fault.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse => "it is already in use",
                SocketError.AddressNotAvailable => "it is not an address of this machine",
                SocketError.AccessDenied => "the permission is missing",
                _ => fault.Message,
            };
            throw new StorageFaultException(
                FaultKind.Invalid, $"The NBD server cannot listen on {endpoint}: {reason}. {advice}", fault);
        }
    }
}
