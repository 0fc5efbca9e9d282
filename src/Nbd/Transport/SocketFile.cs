using System.Net.Sockets;

namespace ZeroFlow.Nbd.Transport;

/// <summary>The file of a Unix socket, which stays when its server dies.</summary>
public static class SocketFile
{
    /// <summary>
    /// Deletes the file when it is a socket that nobody listens on. Anything else stays, and makes binding fail.
    /// </summary>
    /// <exception cref="IOException">It cannot be deleted.</exception>
    public static void RemoveAbandoned(string path, UnixDomainSocketEndPoint endpoint)
    {
        if (IsAbandoned(path, endpoint)) File.Delete(path);
    }

    private static bool IsAbandoned(string path, UnixDomainSocketEndPoint endpoint)
    {
        if (!File.Exists(path)) return false;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(endpoint);
            return false;
        }
        catch (SocketException fault)
        {
            // A regular file refuses connections just like a socket that nobody listens on.
            return fault.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path);
        }
    }

    private static bool IsSocket(string path)
    {
        try
        {
            // Sockets cannot be opened, and the file API has no other way to ask.
            File.OpenHandle(path).Dispose();
            return false;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }
}
