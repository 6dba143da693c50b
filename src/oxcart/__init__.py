"""What is Oxcart? A background-job worker in Python for BullMQ queues on managed Redis."""
