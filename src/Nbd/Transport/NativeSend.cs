using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace ZeroFlow.Nbd.Transport;

/// <summary>
/// sendmsg(2) for several pieces, without waiting: the runtime's own gathered send either allocates or leaves the waiting
/// to the thread pool.
/// </summary>
internal static unsafe partial class NativeSend
{
    // Far below IOV_MAX; the rest goes with the next call.
    private const int PiecesMax = 64;
    private const int DontWait = 0x40;
    private const int NoSignal = 0x4000;
    private const int Interrupted = 4;
    private const int WouldBlock = 11;

    /// <summary>
    /// Bytes that the socket took, from the first piece on; zero when it takes none now, less when it has failed, which the
    /// next send by other means will tell.
    /// </summary>
    public static int TrySend(Socket socket, List<ArraySegment<byte>> pieces)
    {
        int count = Math.Min(pieces.Count, PiecesMax);
        Piece* vector = stackalloc Piece[count];
        GCHandle* pins = stackalloc GCHandle[count];
        bool isHeld = false;
        int pinned = 0;
        try
        {
            for (; pinned < count; pinned++)
            {
                ArraySegment<byte> piece = pieces[pinned];
                pins[pinned] = GCHandle.Alloc(piece.Array, GCHandleType.Pinned);
                vector[pinned] = new Piece { Start = (byte*)pins[pinned].AddrOfPinnedObject() + piece.Offset, Length = piece.Count };
            }

            socket.SafeHandle.DangerousAddRef(ref isHeld);
            var message = new Message { Pieces = vector, PieceCount = count };
            while (true)
            {
                nint sent = SendMessage((int)socket.SafeHandle.DangerousGetHandle(), &message, DontWait | NoSignal);
                if (sent >= 0) return (int)sent;
                int error = Marshal.GetLastPInvokeError();
                if (error != Interrupted) return error == WouldBlock ? 0 : -1;
            }
        }
        finally
        {
            if (isHeld) socket.SafeHandle.DangerousRelease();
            while (pinned > 0) pins[--pinned].Free();
        }
    }

    [LibraryImport("libc", EntryPoint = "sendmsg", SetLastError = true)]
    private static partial nint SendMessage(int socket, Message* message, int flags);

    /// <summary><c>struct iovec</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Piece
    {
        public byte* Start;
        public nint Length;
    }

    /// <summary><c>struct msghdr</c> of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Message
    {
        public void* Name;
        public uint NameLength;
        public Piece* Pieces;
        public nint PieceCount;
        public void* Control;
        public nint ControlLength;
        public int Flags;
    }
}
