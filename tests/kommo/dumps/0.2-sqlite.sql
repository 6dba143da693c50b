BEGIN TRANSACTION;
CREATE TABLE crm_accounts (
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    subdomain TEXT, 
    country TEXT, 
    currency TEXT, 
    timezone TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, external_id)
);
INSERT INTO "crm_accounts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','31000001','Demo','demo','ES','EUR','Europe/Madrid','2024-12-31 00:00:00.000000','2024-12-31 00:00:00.000000','2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.071946',NULL,'4721a8342164238476ab0a3466b4b8051ba365ee415f8be568d60f29ed3fb3bd','{"id":31000001,"name":"Demo","subdomain":"demo","created_at":1735603200,"created_by":0,"updated_at":1735603200,"updated_by":0,"current_user_id":8000001,"country":"ES","currency":"EUR","currency_symbol":"€","customers_mode":"disabled","is_unsorted_on":true,"is_loss_reason_enabled":true,"is_helpbot_enabled":false,"is_technical_account":false,"contact_name_display_order":1,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/account"}},"amojo_id":"00000000-0000-4000-8000-000031000001","version":12,"drive_url":"https://drive-c.kommo.com","is_api_filter_enabled":true,"_embedded":{"users_groups":[{"id":0,"name":"Sales","uuid":null}],"task_types":[{"id":1,"name":"Follow up","color":null,"icon_id":null,"code":"FOLLOW_UP"}],"datetime_settings":{"timezone":"Europe/Madrid","timezone_offset":"+01:00","date_pattern":"d.m.Y H:i"}}}');
CREATE TABLE crm_companies (
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    responsible_user_id TEXT, 
    group_id TEXT, 
    created_by TEXT, 
    updated_by TEXT, 
    closest_task_at DATETIME, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, external_id)
);
INSERT INTO "crm_companies" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','40000001','Travel 1','8000003',NULL,'8000003','8000003',NULL,'2025-01-01 00:00:00.000000','2025-01-10 20:57:22.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.412325',NULL,'523962e5e407da7cdc28b1bbe74a902bfa317db3462a99f4fea3f01a7a822bdd','{"id":40000001,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1735689600,"updated_at":1736542642,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Travel 1","custom_fields_values":null,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/companies/40000001"}},"_embedded":{"tags":[]}}');
CREATE TABLE crm_connection_states (
    connection_id TEXT NOT NULL, 
    token_version BIGINT NOT NULL, 
    api_domain TEXT, 
    reauth_reason TEXT, 
    reauth_at DATETIME, 
    refused_fingerprint TEXT, 
    refreshed_at DATETIME, 
    webhook_secret TEXT, 
    old_webhook_secret TEXT, 
    old_webhook_secret_until DATETIME, 
    settings JSON, 
    PRIMARY KEY (connection_id)
);
INSERT INTO "crm_connection_states" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12',0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'{"name":"Demo","subdomain":"demo","country":"ES","currency":"EUR","created_at":1735603200,"current_user_id":8000001,"is_api_filter_enabled":true,"timezone":"Europe/Madrid","timezone_offset":"+01:00","unfiltered":[],"filters_supported":true}');
CREATE TABLE crm_connections (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    org_id TEXT NOT NULL, 
    provider TEXT DEFAULT 'kommo' NOT NULL, 
    base_domain TEXT NOT NULL, 
    access_token TEXT NOT NULL, 
    refresh_token TEXT, 
    expires_at DATETIME, 
    scope JSON, 
    account_id TEXT, 
    metadata JSON, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id), 
    UNIQUE (org_id, provider, base_domain)
);
INSERT INTO "crm_connections" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','0b7c9e0e-5d1f-4a52-8a53-6b0f6a1f9c11','kommo','demo.kommo.com','access-0','refresh-0','2026-12-01 10:56:24.005176',NULL,'31000001','{"sync":{"status":"done"}}','2026-12-01 09:56:24','2026-12-01 09:56:24');
CREATE TABLE crm_contacts (
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    responsible_user_id TEXT, 
    group_id TEXT, 
    created_by TEXT, 
    updated_by TEXT, 
    closest_task_at DATETIME, 
    first_name TEXT, 
    last_name TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, external_id)
);
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000001','Jan García','8000002',NULL,'8000002','8000002',NULL,'Jan','García','2025-01-01 00:00:00.000000','2025-12-01 00:00:00.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'9fba9cc325ba497896ad8463958ac2972753abc1fcd777be80ee4de2fe39fb4a','{"id":30000001,"responsible_user_id":8000002,"group_id":0,"created_by":8000002,"updated_by":8000002,"created_at":1735689600,"updated_at":1764547200,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Jan García","first_name":"Jan","last_name":"García","is_unsorted":false,"custom_fields_values":null,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000001"}},"_embedded":{"tags":[],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000002','Chloé O''Neil','8000004',NULL,'8000004','8000004',NULL,'Chloé','O''Neil','2025-01-26 08:00:00.000000','2025-02-15 04:29:08.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'158384d87e0f2d0ad2ad404e23a3a8ad66ec893a994aeac316dc0b622a45e552','{"id":30000002,"responsible_user_id":8000004,"group_id":0,"created_by":8000004,"updated_by":8000004,"created_at":1737878400,"updated_at":1739593748,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Chloé O''Neil","first_name":"Chloé","last_name":"O''Neil","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000001","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact1@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000002"}},"_embedded":{"tags":[{"id":11,"name":"site","color":null}],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000003','Dmitri Öztürk','8000004',NULL,'8000004','8000004',NULL,'Dmitri','Öztürk','2025-02-20 16:00:00.000000','2025-03-05 14:58:38.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'4bf70ed8b44622a45e63331e63f223b89c533e11b2aea037251984d0796a0073','{"id":30000003,"responsible_user_id":8000004,"group_id":0,"created_by":8000004,"updated_by":8000004,"created_at":1740067200,"updated_at":1741186718,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Dmitri Öztürk","first_name":"Dmitri","last_name":"Öztürk","is_unsorted":false,"custom_fields_values":[{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact2@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000003"}},"_embedded":{"tags":[],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000004','Greta O''Neil','8000005',NULL,'8000005','8000005',NULL,'Greta','O''Neil','2025-03-18 00:00:00.000000','2025-04-04 19:58:14.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000','2026-09-21 14:30:00.000000','2026-09-21 14:30:00.000000','event','2026-12-01 09:56:26.287113',NULL,'f9b24d6860a440dbe724a4f31bf68096cb713b5548425522ba423e9b44119651','{"id":30000004,"responsible_user_id":8000005,"group_id":0,"created_by":8000005,"updated_by":8000005,"created_at":1742256000,"updated_at":1743796694,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Greta O''Neil","first_name":"Greta","last_name":"O''Neil","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000003","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact3@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000004"}},"_embedded":{"tags":[{"id":12,"name":"fair","color":null}],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000005','Elif Novak','8000005',NULL,'8000005','8000005',NULL,'Elif','Novak','2025-04-12 08:00:00.000000','2025-04-24 18:17:04.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'b1406a29dce96958a74f1216a0513c6f669e79dd818694fab5ffac8bf5de2955','{"id":30000005,"responsible_user_id":8000005,"group_id":0,"created_by":8000005,"updated_by":8000005,"created_at":1744444800,"updated_at":1745518624,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Elif Novak","first_name":"Elif","last_name":"Novak","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000004","enum_id":552476,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000005"}},"_embedded":{"tags":[],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000006','Hugo O''Neil','8000003',NULL,'8000003','8000003',NULL,'Hugo','O''Neil','2025-05-07 16:00:00.000000','2025-05-24 23:00:12.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'1a1cb93b1bcdca55dee05c6818ed214af22344f4dec3165479e336caba93909d','{"id":30000006,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1746633600,"updated_at":1748127612,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Hugo O''Neil","first_name":"Hugo","last_name":"O''Neil","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000005","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact5@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000006"}},"_embedded":{"tags":[],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000007','Ines Costa','8000002',NULL,'8000002','8000002',NULL,'Ines','Costa','2025-06-02 00:00:00.000000','2025-06-06 01:14:11.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'8a5d0041c0e4a6e9a2ac7fcdff07812fb37f1cb102f972736bc4bafcc38d2f01','{"id":30000007,"responsible_user_id":8000002,"group_id":0,"created_by":8000002,"updated_by":8000002,"created_at":1748822400,"updated_at":1749172451,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Ines Costa","first_name":"Ines","last_name":"Costa","is_unsorted":false,"custom_fields_values":[{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact6@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000007"}},"_embedded":{"tags":[{"id":12,"name":"fair","color":null}],"companies":[{"id":40000001,"_links":[]}]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000008','Léo Иванова','8000003',NULL,'8000003','8000003',NULL,'Léo','Иванова','2025-06-27 08:00:00.000000','2025-07-06 11:26:42.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'9565bdabfd280783c5395a56f6b76da43931c2939bff26bdc22fa13d645c193d','{"id":30000008,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1751011200,"updated_at":1751801202,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Léo Иванова","first_name":"Léo","last_name":"Иванова","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000007","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact7@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000008"}},"_embedded":{"tags":[{"id":12,"name":"fair","color":null}],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000009','Ben Novak','8000001',NULL,'8000001','8000001',NULL,'Ben','Novak','2025-07-22 16:00:00.000000','2025-07-31 07:00:00.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'3691cce76d39e81797b114177ea85e6815e9aa33d0a578675d242b0b2a5dfe72','{"id":30000009,"responsible_user_id":8000001,"group_id":0,"created_by":8000001,"updated_by":8000001,"created_at":1753200000,"updated_at":1753945200,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Ben Novak","first_name":"Ben","last_name":"Novak","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000008","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact8@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000009"}},"_embedded":{"tags":[{"id":11,"name":"site","color":null}],"companies":[]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000010','Farid Ruiz','8000001',NULL,'8000001','8000001',NULL,'Farid','Ruiz','2025-08-17 00:00:00.000000','2025-08-17 23:00:00.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'3059c109d4d429bb7799e52953b6a00a62126eaa6fad0c2aa8274b13399ec186','{"id":30000010,"responsible_user_id":8000001,"group_id":0,"created_by":8000001,"updated_by":8000001,"created_at":1755388800,"updated_at":1755471600,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Farid Ruiz","first_name":"Farid","last_name":"Ruiz","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000009","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact9@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000010"}},"_embedded":{"tags":[],"companies":[{"id":40000001,"_links":[]}]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000011','Jan Costa','8000003',NULL,'8000003','8000003',NULL,'Jan','Costa','2025-09-11 08:00:00.000000','2025-09-17 21:29:37.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'67a010bb456e15453adccd290d07148c5e800f0716e200d9bd1a48d47c5f58e5','{"id":30000011,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1757577600,"updated_at":1758144577,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Jan Costa","first_name":"Jan","last_name":"Costa","is_unsorted":false,"custom_fields_values":[{"field_id":771906,"field_name":"Phone","field_code":"PHONE","field_type":"multitext","values":[{"value":"+34600000010","enum_id":552476,"enum_code":"WORK"}]},{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact10@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000011"}},"_embedded":{"tags":[],"companies":[{"id":40000001,"_links":[]}]}}');
INSERT INTO "crm_contacts" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','30000012','Ines García','8000001',NULL,'8000001','8000001',NULL,'Ines','García','2025-10-06 16:00:00.000000','2025-10-09 17:00:00.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.472563',NULL,'cfe8d9cf62a329cbdc1889683f9ac3c3498ca336b5ad6bd8bdd33d56e63316a8','{"id":30000012,"responsible_user_id":8000001,"group_id":0,"created_by":8000001,"updated_by":8000001,"created_at":1759766400,"updated_at":1760029200,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Ines García","first_name":"Ines","last_name":"García","is_unsorted":false,"custom_fields_values":[{"field_id":771908,"field_name":"Email","field_code":"EMAIL","field_type":"multitext","values":[{"value":"contact11@example.com","enum_id":552480,"enum_code":"WORK"}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/contacts/30000012"}},"_embedded":{"tags":[],"companies":[{"id":40000001,"_links":[]}]}}');
CREATE TABLE crm_credentials (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    org_id TEXT NOT NULL, 
    provider TEXT DEFAULT 'kommo' NOT NULL, 
    client_id TEXT NOT NULL, 
    client_secret TEXT NOT NULL, 
    redirect_uri TEXT, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id), 
    UNIQUE (org_id, provider)
);
INSERT INTO "crm_credentials" VALUES('f5015343-68d8-4c18-8458-83e4f69695b7','0b7c9e0e-5d1f-4a52-8a53-6b0f6a1f9c11','kommo','client','client-secret','https://platform.example/callback','2026-12-01 09:56:24','2026-12-01 09:56:24');
CREATE TABLE crm_cursors (
    connection_id TEXT NOT NULL, 
    entity TEXT NOT NULL, 
    cursor_at DATETIME, 
    checkpoint JSON, 
    full_walk_at DATETIME, 
    swept_at DATETIME, 
    last_run_at DATETIME, 
    last_error TEXT, 
    sweep_error TEXT, 
    rows_written BIGINT NOT NULL, 
    requests BIGINT NOT NULL, 
    PRIMARY KEY (connection_id, entity)
);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','account','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:26.389846',NULL,NULL,1,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','pipelines','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:26.452892',NULL,NULL,16,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','users','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:26.506302',NULL,NULL,5,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.536003',NULL,NULL,1,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.564046',NULL,NULL,13,4);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.630849',NULL,NULL,12,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','tasks','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.691523',NULL,NULL,3,4);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads_notes','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.757695',NULL,NULL,2,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts_notes','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.783715',NULL,NULL,0,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies_notes','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:26.809026',NULL,NULL,0,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads_custom_fields','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:26.880043',NULL,NULL,3,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts_custom_fields','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:27.005366',NULL,NULL,2,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies_custom_fields','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:27.192924',NULL,NULL,0,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads_tags','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:27.241167',NULL,NULL,4,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts_tags','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:27.323083',NULL,NULL,4,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies_tags','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:46:40.000000',NULL,'2026-12-01 09:56:27.524181',NULL,NULL,4,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','events','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:27.655520',NULL,NULL,6,3);
INSERT INTO "crm_cursors" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','deleted_leads','2026-09-21 14:46:40.000000',NULL,'2026-09-21 14:13:20.000000',NULL,'2026-12-01 09:56:27.696283',NULL,NULL,0,3);
CREATE TABLE crm_custom_fields (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    entity_type TEXT NOT NULL, 
    name TEXT NOT NULL, 
    field_type TEXT NOT NULL, 
    code TEXT, 
    is_required BOOLEAN, 
    is_deletable BOOLEAN, 
    is_api_only BOOLEAN, 
    sort_order INTEGER, 
    enums JSON, 
    metadata JSON, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id), 
    UNIQUE (connection_id, external_id, entity_type), 
    FOREIGN KEY(connection_id) REFERENCES crm_connections (id) ON DELETE CASCADE
);
INSERT INTO "crm_custom_fields" VALUES('a6b58cbe-944e-4650-b788-3288e5520b13','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','1016236','lead','Client type','select',NULL,0,1,0,500,'{"867968":"New","867970":"Regular","867972":"Partner"}','{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_custom_fields" VALUES('8b5c9c79-182e-44e3-bc7a-521bb9579825','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','1016240','lead','Contract date','date',NULL,0,1,0,501,NULL,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_custom_fields" VALUES('25b57b1b-d549-4e37-8014-86db5392bd8e','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','1016244','lead','Source','radiobutton',NULL,0,1,0,502,'{"566640":"Site","566642":"Fair"}','{"deleted_at":"2026-09-21T14:30:00+00:00"}','2026-12-01 09:56:24','2026-12-01 09:56:25');
INSERT INTO "crm_custom_fields" VALUES('eab388ac-f3e0-48da-8305-e73f58dc955f','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','771906','contact','Phone','multitext','PHONE',0,0,0,500,NULL,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_custom_fields" VALUES('41a92993-1e4d-4e76-bb7c-2c41cbeb6c58','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','771908','contact','Email','multitext','EMAIL',0,0,0,501,NULL,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
CREATE TABLE crm_dirty (
    connection_id TEXT NOT NULL, 
    entity TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    action TEXT NOT NULL, 
    hinted_at DATETIME, 
    marked_at DATETIME NOT NULL, 
    source TEXT, 
    mark TEXT NOT NULL, 
    PRIMARY KEY (connection_id, entity, external_id)
);
CREATE TABLE crm_events (
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    type TEXT, 
    entity_type TEXT, 
    entity_id TEXT, 
    created_by TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, external_id)
);
INSERT INTO "crm_events" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','010e75473ffce06e3500000001',NULL,'sale_field_changed','lead','20000003',NULL,'2026-09-21 14:30:00.000000',NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:26.212442',NULL,'9eb8071f32051b563d57e3bed8a67d0cecefebae40cff1d8c243c4c05d240d64','{"id":"010e75473ffce06e3500000001","type":"sale_field_changed","entity_id":20000003,"entity_type":"lead","created_by":0,"created_at":1790001000,"value_after":[],"value_before":[{"price":38802}],"account_id":31000001,"_links":[],"_embedded":{"entity":{"id":20000003,"_links":[]}}}');
INSERT INTO "crm_events" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','01843f748672c9c4e500000003',NULL,'task_deleted','task','7000001',NULL,'2026-09-21 14:30:00.000000',NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:26.212442',NULL,'46b40bab4aeb0953d01c20454db948465c0855bda9eff9da0bbf433afedf952d','{"id":"01843f748672c9c4e500000003","type":"task_deleted","entity_id":7000001,"entity_type":"task","created_by":0,"created_at":1790001000,"value_after":[],"value_before":[],"account_id":31000001,"_links":[],"_embedded":{"entity":{"id":7000001,"_links":[]}}}');
INSERT INTO "crm_events" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','0199240a05a183025b00000004',NULL,'task_added','task','7000002',NULL,'2026-09-21 14:30:00.000000',NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:26.212442',NULL,'71dc526ce187f977b99ad473aae980ae66f38dfbf7458d2ba86ee5d0bd89f3ba','{"id":"0199240a05a183025b00000004","type":"task_added","entity_id":7000002,"entity_type":"task","created_by":0,"created_at":1790001000,"value_after":[],"value_before":[],"account_id":31000001,"_links":[],"_embedded":{"entity":{"id":7000002,"_links":[]}}}');
INSERT INTO "crm_events" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','01a86206917625d54400000005',NULL,'common_note_added','lead','20000001',NULL,'2026-09-21 14:30:00.000000',NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:26.212442',NULL,'f890d0db3dde87b0fcac14b8bcd4da59eaf21d8c6fc6995c53c8d6d1a06bbce3','{"id":"01a86206917625d54400000005","type":"common_note_added","entity_id":20000001,"entity_type":"lead","created_by":0,"created_at":1790001000,"value_after":[],"value_before":[],"account_id":31000001,"_links":[],"_embedded":{"entity":{"id":20000001,"_links":[]}}}');
INSERT INTO "crm_events" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','01cd016676f25346ef00000000',NULL,'lead_status_changed','lead','20000002',NULL,'2026-09-21 14:30:00.000000',NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:26.212442',NULL,'abb8796d122fd49fafc999ce36346090b022f73649944bc84fb10d012814e3cb','{"id":"01cd016676f25346ef00000000","type":"lead_status_changed","entity_id":20000002,"entity_type":"lead","created_by":0,"created_at":1790001000,"value_after":[{"lead_status":{"id":142,"pipeline_id":6950552}}],"value_before":[{"lead_status":{"id":58141810,"pipeline_id":6950552}}],"account_id":31000001,"_links":[],"_embedded":{"entity":{"id":20000002,"_links":[]}}}');
INSERT INTO "crm_events" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','01ff2febab592a184100000002',NULL,'contact_deleted','contact','30000004',NULL,'2026-09-21 14:30:00.000000',NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:26.212442',NULL,'252cd1463b72a55a4639ab69504be47358fbfa62c6a8429295a0708abbc4fba7','{"id":"01ff2febab592a184100000002","type":"contact_deleted","entity_id":30000004,"entity_type":"contact","created_by":0,"created_at":1790001000,"value_after":[],"value_before":[],"account_id":31000001,"_links":[],"_embedded":{"entity":{"id":30000004,"_links":[]}}}');
CREATE TABLE crm_hooks (
    connection_id TEXT NOT NULL, 
    body_hash TEXT NOT NULL, 
    received_at DATETIME NOT NULL, 
    content_type TEXT, 
    body TEXT NOT NULL, 
    expanded_at DATETIME, 
    error TEXT, 
    PRIMARY KEY (connection_id, body_hash)
);
CREATE TABLE crm_leads (
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    responsible_user_id TEXT, 
    group_id TEXT, 
    created_by TEXT, 
    updated_by TEXT, 
    closest_task_at DATETIME, 
    price FLOAT, 
    status_id TEXT, 
    pipeline_id TEXT, 
    loss_reason_id TEXT, 
    source_id TEXT, 
    closed_at DATETIME, 
    score BIGINT, 
    labor_cost BIGINT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, external_id)
);
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000001','Deal 1','8000002',NULL,'8000002','8000002',NULL,15776.0,'58141810','6950551',NULL,NULL,NULL,NULL,NULL,'2025-01-01 00:00:00.000000','2025-12-01 00:00:00.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'5225046d350dedf319488bdb5d05d17446796845355e2c54fc5ba48c52bad7f4','{"id":20000001,"responsible_user_id":8000002,"group_id":0,"created_by":8000002,"updated_by":8000002,"created_at":1735689600,"updated_at":1764547200,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 1","price":15776,"status_id":58141810,"pipeline_id":6950551,"loss_reason_id":null,"source_id":null,"closed_at":null,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016236,"field_name":"Client type","field_code":null,"field_type":"select","values":[{"value":"New","enum_id":867968,"enum_code":null}]},{"field_id":1016240,"field_name":"Contract date","field_code":null,"field_type":"date","values":[{"value":1735689600}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000001"}},"_embedded":{"tags":[],"companies":[],"contacts":[{"id":30000001,"is_main":true,"_links":[]},{"id":30000002,"is_main":false,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000002','Deal 2','8000002',NULL,'8000002',NULL,NULL,9471.0,'142','6950552',NULL,NULL,'2026-09-21 14:30:00.000000',NULL,NULL,'2025-01-31 09:36:00.000000','2026-09-21 14:30:00.000000','2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.588282',NULL,'c2d2bb2175b566211b4825925e713fbb4ad845cb5fd325149caade55454b4e20','{"id":20000002,"responsible_user_id":8000002,"group_id":0,"created_by":8000002,"updated_by":0,"created_at":1738316160,"updated_at":1790001000,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 2","price":9471,"status_id":142,"pipeline_id":6950552,"loss_reason_id":null,"source_id":null,"closed_at":1790001000,"score":null,"labor_cost":null,"custom_fields_values":null,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000002"}},"_embedded":{"tags":[{"id":14,"name":"newsletter","color":null}],"companies":[{"id":40000001,"_links":[]}],"contacts":[{"id":30000002,"is_main":true,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000003','Deal 3','8000003',NULL,'8000003',NULL,NULL,1234.5,'58141807','6950552',NULL,NULL,NULL,NULL,NULL,'2025-03-02 19:12:00.000000','2026-09-21 14:30:00.000000','2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.588282',NULL,'aac49a048355bc7556aeb07b0e893b76ab0e0098bd3a5436b25abf4461f03cf9','{"id":20000003,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":0,"created_at":1740942720,"updated_at":1790001000,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 3","price":1234.5,"status_id":58141807,"pipeline_id":6950552,"loss_reason_id":null,"source_id":null,"closed_at":null,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016236,"field_name":"Client type","field_code":null,"field_type":"select","values":[{"value":"New","enum_id":867968,"enum_code":null}]},{"field_id":1016240,"field_name":"Contract date","field_code":null,"field_type":"date","values":[{"value":1740873600}]},{"field_id":1016244,"field_name":"Source","field_code":null,"field_type":"radiobutton","values":[{"value":"Site","enum_id":566640,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000003"}},"_embedded":{"tags":[],"companies":[{"id":40000001,"_links":[]}],"contacts":[{"id":30000003,"is_main":true,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000004','Deal 4','8000003',NULL,'8000003','8000003',NULL,17152.0,'58141813','6950552',NULL,NULL,NULL,NULL,NULL,'2025-04-02 04:48:00.000000','2025-04-21 22:27:12.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'e5d78b3a1448b5051d2e4164da6fe509f728092a4c55e37ce00588c89b497886','{"id":20000004,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1743569280,"updated_at":1745274432,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 4","price":17152,"status_id":58141813,"pipeline_id":6950552,"loss_reason_id":null,"source_id":null,"closed_at":null,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016236,"field_name":"Client type","field_code":null,"field_type":"select","values":[{"value":"New","enum_id":867968,"enum_code":null}]},{"field_id":1016240,"field_name":"Contract date","field_code":null,"field_type":"date","values":[{"value":1743552000}]},{"field_id":1016244,"field_name":"Source","field_code":null,"field_type":"radiobutton","values":[{"value":"Site","enum_id":566640,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000004"}},"_embedded":{"tags":[{"id":14,"name":"newsletter","color":null}],"companies":[],"contacts":[{"id":30000004,"is_main":true,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000005','Deal 5','8000002',NULL,'8000002','8000002',NULL,1746.0,'143','6950552',NULL,NULL,'2025-05-20 07:19:46.000000',NULL,NULL,'2025-05-02 14:24:00.000000','2025-05-20 07:19:46.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'399fb4b5f81266f6ba1c08c5bc31ab3ae742fed3997b640119838df14fabf704','{"id":20000005,"responsible_user_id":8000002,"group_id":0,"created_by":8000002,"updated_by":8000002,"created_at":1746195840,"updated_at":1747725586,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 5","price":1746,"status_id":143,"pipeline_id":6950552,"loss_reason_id":null,"source_id":null,"closed_at":1747725586,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016240,"field_name":"Contract date","field_code":null,"field_type":"date","values":[{"value":1746144000}]},{"field_id":1016244,"field_name":"Source","field_code":null,"field_type":"radiobutton","values":[{"value":"Site","enum_id":566640,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000005"}},"_embedded":{"tags":[],"companies":[{"id":40000001,"_links":[]}],"contacts":[{"id":30000005,"is_main":true,"_links":[]},{"id":30000006,"is_main":false,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000006','Deal 6','8000003',NULL,'8000003','8000003',NULL,10912.0,'58141813','6950551',NULL,NULL,NULL,NULL,NULL,'2025-06-02 00:00:00.000000','2025-06-02 22:28:32.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'c4f2dfd2b05d9d93d5c933edc7800b8504c17c9ec2f54da0004e93c127d7181b','{"id":20000006,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1748822400,"updated_at":1748903312,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 6","price":10912,"status_id":58141813,"pipeline_id":6950551,"loss_reason_id":null,"source_id":null,"closed_at":null,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016240,"field_name":"Contract date","field_code":null,"field_type":"date","values":[{"value":1748822400}]},{"field_id":1016244,"field_name":"Source","field_code":null,"field_type":"radiobutton","values":[{"value":"Site","enum_id":566640,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000006"}},"_embedded":{"tags":[],"companies":[],"contacts":[{"id":30000007,"is_main":true,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000007','Deal 7','8000004',NULL,'8000004','8000004',NULL,24458.0,'142','6950551',NULL,NULL,'2025-07-13 11:16:58.000000',NULL,NULL,'2025-07-02 09:36:00.000000','2025-07-13 11:16:58.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'2d47fa97e583486e41a7f7fb05ceb653706a3adf0f3717d19e01eeda01b629ce','{"id":20000007,"responsible_user_id":8000004,"group_id":0,"created_by":8000004,"updated_by":8000004,"created_at":1751448960,"updated_at":1752405418,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 7","price":24458,"status_id":142,"pipeline_id":6950551,"loss_reason_id":null,"source_id":null,"closed_at":1752405418,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016236,"field_name":"Client type","field_code":null,"field_type":"select","values":[{"value":"Regular","enum_id":867970,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000007"}},"_embedded":{"tags":[{"id":14,"name":"newsletter","color":null}],"companies":[{"id":40000001,"_links":[]}],"contacts":[{"id":30000008,"is_main":true,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000008','Deal 8','8000001',NULL,'8000001','8000001',NULL,37305.0,'58141810','6950552',NULL,NULL,NULL,NULL,NULL,'2025-08-01 19:12:00.000000','2025-08-09 19:00:00.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'111b19ced504c30c65aa8c2bd970f01b2917ad8ff013e72b0771d6909c412ce7','{"id":20000008,"responsible_user_id":8000001,"group_id":0,"created_by":8000001,"updated_by":8000001,"created_at":1754075520,"updated_at":1754766000,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 8","price":37305,"status_id":58141810,"pipeline_id":6950552,"loss_reason_id":null,"source_id":null,"closed_at":null,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016240,"field_name":"Contract date","field_code":null,"field_type":"date","values":[{"value":1754006400}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000008"}},"_embedded":{"tags":[],"companies":[],"contacts":[{"id":30000009,"is_main":true,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000009','Deal 9','8000004',NULL,'8000004','8000004',NULL,11718.0,'58141813','6950551',NULL,NULL,NULL,NULL,NULL,'2025-09-01 04:48:00.000000','2025-09-06 21:23:18.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'b9507a69d34d8d3fe1222543a95e7c0ae070e56fea9ed3ed997194f1069bfa4a','{"id":20000009,"responsible_user_id":8000004,"group_id":0,"created_by":8000004,"updated_by":8000004,"created_at":1756702080,"updated_at":1757193798,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 9","price":11718,"status_id":58141813,"pipeline_id":6950551,"loss_reason_id":null,"source_id":null,"closed_at":null,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016236,"field_name":"Client type","field_code":null,"field_type":"select","values":[{"value":"New","enum_id":867968,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000009"}},"_embedded":{"tags":[{"id":14,"name":"newsletter","color":null}],"companies":[{"id":40000001,"_links":[]}],"contacts":[{"id":30000010,"is_main":true,"_links":[]},{"id":30000011,"is_main":false,"_links":[]}],"loss_reason":[]}}');
INSERT INTO "crm_leads" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','20000010','Deal 10','8000004',NULL,'8000004','8000004',NULL,4068.0,'143','6950552',NULL,NULL,'2025-10-17 17:38:28.000000',NULL,NULL,'2025-10-01 14:24:00.000000','2025-10-17 17:38:28.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.527593',NULL,'0da5b2d8d74178ecaa9dd84b313ecb0d9c52b85e002e8857da6d80b4f7808592','{"id":20000010,"responsible_user_id":8000004,"group_id":0,"created_by":8000004,"updated_by":8000004,"created_at":1759328640,"updated_at":1760722708,"account_id":31000001,"closest_task_at":null,"is_deleted":false,"name":"Deal 10","price":4068,"status_id":143,"pipeline_id":6950552,"loss_reason_id":null,"source_id":null,"closed_at":1760722708,"score":null,"labor_cost":null,"custom_fields_values":[{"field_id":1016236,"field_name":"Client type","field_code":null,"field_type":"select","values":[{"value":"Regular","enum_id":867970,"enum_code":null}]},{"field_id":1016244,"field_name":"Source","field_code":null,"field_type":"radiobutton","values":[{"value":"Site","enum_id":566640,"enum_code":null}]}],"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000010"}},"_embedded":{"tags":[],"companies":[],"contacts":[{"id":30000011,"is_main":true,"_links":[]}],"loss_reason":[]}}');
CREATE TABLE crm_leases (
    scope TEXT NOT NULL, 
    holder TEXT NOT NULL, 
    held_until DATETIME NOT NULL, 
    PRIMARY KEY (scope)
);
CREATE TABLE crm_links (
    connection_id TEXT NOT NULL, 
    from_type TEXT NOT NULL, 
    from_id TEXT NOT NULL, 
    to_type TEXT NOT NULL, 
    to_id TEXT NOT NULL, 
    is_main BOOLEAN, 
    PRIMARY KEY (connection_id, from_type, from_id, to_type, to_id)
);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','30000007','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','30000010','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','30000011','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','30000012','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000001','contacts','30000001',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000001','contacts','30000002',0);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000004','contacts','30000004',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000005','contacts','30000005',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000005','contacts','30000006',0);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000005','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000006','contacts','30000007',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000007','contacts','30000008',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000007','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000008','contacts','30000009',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000009','contacts','30000010',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000009','contacts','30000011',0);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000009','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000010','contacts','30000011',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000002','contacts','30000002',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000002','companies','40000001',NULL);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000003','contacts','30000003',1);
INSERT INTO "crm_links" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','20000003','companies','40000001',NULL);
CREATE TABLE crm_notes (
    connection_id TEXT NOT NULL, 
    entity_type TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    note_type TEXT, 
    text TEXT, 
    entity_id TEXT, 
    responsible_user_id TEXT, 
    group_id TEXT, 
    created_by TEXT, 
    updated_by TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, entity_type, external_id)
);
INSERT INTO "crm_notes" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','50000001',NULL,'common','Note 1','20000001','8000003',NULL,'8000003','8000003','2025-01-01 00:00:00.000000','2025-01-10 11:27:07.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.671778',NULL,'9b760ec0706bfe1a585ded6dafef6afa29bade4184730691b546e589ef12d88b','{"id":50000001,"responsible_user_id":8000003,"group_id":0,"created_by":8000003,"updated_by":8000003,"created_at":1735689600,"updated_at":1736508427,"account_id":31000001,"entity_id":20000001,"note_type":"common","params":{"text":"Note 1"},"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000001/notes/50000001"}}}');
INSERT INTO "crm_notes" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','50000002',NULL,'call_in',NULL,'20000001','8000001',NULL,NULL,NULL,'2026-09-21 14:30:00.000000','2026-09-21 14:30:00.000000','2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.687807',NULL,'32c6359351d1282870ffb9f8cd5437d48fa647fe6f0ec2a2c6876793664c3f0c','{"entity_id":20000001,"note_type":"call_in","params":{"phone":"+34600","duration":61,"uniq":"u","source":"pbx","link":""},"id":50000002,"created_at":1790001000,"updated_at":1790001000,"created_by":0,"updated_by":0,"responsible_user_id":8000001,"group_id":0,"account_id":31000001,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/20000001/notes/50000002"}}}');
CREATE TABLE crm_outbox (
    id TEXT NOT NULL, 
    connection_id TEXT NOT NULL, 
    "key" TEXT NOT NULL, 
    kind TEXT NOT NULL, 
    entity_type TEXT, 
    entity_id TEXT, 
    payload JSON NOT NULL, 
    state TEXT NOT NULL, 
    marker TEXT NOT NULL, 
    attempts INTEGER NOT NULL, 
    remote_id TEXT, 
    error TEXT, 
    created_at DATETIME NOT NULL, 
    sent_at DATETIME, 
    missed_at DATETIME, 
    finished_at DATETIME, 
    PRIMARY KEY (id)
);
CREATE TABLE crm_pipeline_stages (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    pipeline_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT NOT NULL, 
    sort_order INTEGER, 
    metadata JSON, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id), 
    FOREIGN KEY(pipeline_id) REFERENCES crm_pipelines (id) ON DELETE CASCADE, 
    UNIQUE (pipeline_id, external_id)
);
INSERT INTO "crm_pipeline_stages" VALUES('ab518dab-1ff2-49c4-912d-c808fc6ad281','bb5cec34-9280-49ed-8186-974736c6f06b','142','Closed - won',10000,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('629c597d-50b5-4129-9888-c4780cf428e1','bb5cec34-9280-49ed-8186-974736c6f06b','143','Closed - lost',11000,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('8a3514d5-7c34-4427-8d5e-5c12563551ed','bb5cec34-9280-49ed-8186-974736c6f06b','58141803','Incoming leads',10,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('eb0b78f3-79ad-4907-a4ca-ffd674e8fe68','bb5cec34-9280-49ed-8186-974736c6f06b','58141807','Step 1',20,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('e73c173a-22ad-447e-a694-9650db24cfb2','bb5cec34-9280-49ed-8186-974736c6f06b','58141810','Step 2',30,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('c729b29c-b762-49a5-ab08-c97a160dbb2c','bb5cec34-9280-49ed-8186-974736c6f06b','58141813','Step 3',40,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('85745286-6185-4a3e-9b6f-d95af3cee2a0','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','142','Closed - won',10000,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('b68075c9-2b10-47f4-84e6-296e257ab041','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','143','Closed - lost',11000,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('277af571-2ff5-4c3c-9aee-a894a35c18a1','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','58141804','Incoming leads',10,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('7b6f05fb-0fb0-455b-8374-921b56255e63','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','58141807','Step 1',20,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipeline_stages" VALUES('9da15cb3-d84d-4ec6-b18f-fe15cf647d88','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','58141810','Step 2',30,'{"deleted_at":"2026-09-21T14:30:00+00:00"}','2026-12-01 09:56:24','2026-12-01 09:56:25');
INSERT INTO "crm_pipeline_stages" VALUES('6e2bbb68-e5a9-4a7e-b145-5e8890fcf9e1','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','58141813','Step 3',40,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
CREATE TABLE crm_pipelines (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT NOT NULL, 
    is_active BOOLEAN DEFAULT 1, 
    sort_order INTEGER, 
    metadata JSON, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id), 
    UNIQUE (connection_id, external_id), 
    FOREIGN KEY(connection_id) REFERENCES crm_connections (id) ON DELETE CASCADE
);
INSERT INTO "crm_pipelines" VALUES('bb5cec34-9280-49ed-8186-974736c6f06b','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','6950551','Sales',1,1,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
INSERT INTO "crm_pipelines" VALUES('ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a','5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','6950552','Support',1,2,'{}','2026-12-01 09:56:24','2026-12-01 09:56:24');
CREATE TABLE crm_row_versions (
    connection_id TEXT NOT NULL, 
    entity TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    local_id TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, entity, external_id)
);
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','pipelines','6950551','Sales','bb5cec34-9280-49ed-8186-974736c6f06b',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','874f13993467d20bec1278faec0d108fea736b8ad4c23fa0a7d9c5a653f825f7','{"id":6950551,"name":"Sales","sort":1,"is_main":true,"is_unsorted_on":true,"is_archive":false,"account_id":31000001,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/pipelines/6950551"}},"_embedded":{"statuses":[{"id":58141803,"name":"Incoming leads","sort":10,"is_editable":false,"pipeline_id":6950551,"color":"#99ccff","type":1,"account_id":31000001,"_links":[]},{"id":58141807,"name":"Step 1","sort":20,"is_editable":true,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":58141810,"name":"Step 2","sort":30,"is_editable":true,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":58141813,"name":"Step 3","sort":40,"is_editable":true,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":142,"name":"Closed - won","sort":10000,"is_editable":false,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":143,"name":"Closed - lost","sort":11000,"is_editable":false,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}]}}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','pipelines','6950552','Support','ce24e4d8-9bdb-4c5a-a079-6f7e8b07c38a',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.377132','43b63292-550c-4c2e-8454-3f294cb76e47','3b155e80bdb1df6957295e227801743b40d75c41fa6bbe0ea4aca9f563c43e88','{"id":6950552,"name":"Support","sort":2,"is_main":false,"is_unsorted_on":true,"is_archive":false,"account_id":31000001,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/leads/pipelines/6950552"}},"_embedded":{"statuses":[{"id":58141804,"name":"Incoming leads","sort":10,"is_editable":false,"pipeline_id":6950552,"color":"#99ccff","type":1,"account_id":31000001,"_links":[]},{"id":58141807,"name":"Step 1","sort":20,"is_editable":true,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":58141813,"name":"Step 3","sort":40,"is_editable":true,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":142,"name":"Closed - won","sort":10000,"is_editable":false,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]},{"id":143,"name":"Closed - lost","sort":11000,"is_editable":false,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}]}}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950551:142','Closed - won','ab518dab-1ff2-49c4-912d-c808fc6ad281',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','e740851523ad6ccad4a48a1681340554260c4807eade763bec04c4513d328f22','{"id":142,"name":"Closed - won","sort":10000,"is_editable":false,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950551:143','Closed - lost','629c597d-50b5-4129-9888-c4780cf428e1',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','5fd903b9f1b4214b785f133a60cfaec94e898b6392e0769e2e69f2e0df13d13f','{"id":143,"name":"Closed - lost","sort":11000,"is_editable":false,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950551:58141803','Incoming leads','8a3514d5-7c34-4427-8d5e-5c12563551ed',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','62876f55b1aa756bb0dc5a8ce85b0d5aefaf707f74a1e7f7b5dbc01c062fdfb4','{"id":58141803,"name":"Incoming leads","sort":10,"is_editable":false,"pipeline_id":6950551,"color":"#99ccff","type":1,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950551:58141807','Step 1','eb0b78f3-79ad-4907-a4ca-ffd674e8fe68',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','63a9a0044e354915b633a99d11aacd4dc2254acbeaa9b5946196aa87dfc2dc3c','{"id":58141807,"name":"Step 1","sort":20,"is_editable":true,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950551:58141810','Step 2','e73c173a-22ad-447e-a694-9650db24cfb2',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','e199daa33b360dad2c1d4d7531c68d77f1686b84251d792edbfe11bf2836cd96','{"id":58141810,"name":"Step 2","sort":30,"is_editable":true,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950551:58141813','Step 3','c729b29c-b762-49a5-ab08-c97a160dbb2c',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','2e685fb790b4b3630e29ec0708443b98e1963873c7d8caa316d3467d4512e7a2','{"id":58141813,"name":"Step 3","sort":40,"is_editable":true,"pipeline_id":6950551,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950552:142','Closed - won','85745286-6185-4a3e-9b6f-d95af3cee2a0',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','4e57f4a26bc68ad3370080c2b0f74a9702ff4a6a4071cbc6bf689d5a8fa2a02e','{"id":142,"name":"Closed - won","sort":10000,"is_editable":false,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950552:143','Closed - lost','b68075c9-2b10-47f4-84e6-296e257ab041',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','a7903c756753ede951544e5e65721b157636c49294e5d9330283d3b3666bd6ea','{"id":143,"name":"Closed - lost","sort":11000,"is_editable":false,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950552:58141804','Incoming leads','277af571-2ff5-4c3c-9aee-a894a35c18a1',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','6851d8d2e115d34268f730db364100f98fa63265a1772b62af57a0d839c1248e','{"id":58141804,"name":"Incoming leads","sort":10,"is_editable":false,"pipeline_id":6950552,"color":"#99ccff","type":1,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950552:58141807','Step 1','7b6f05fb-0fb0-455b-8374-921b56255e63',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','e79f9f459a89816dbe12bd9a158986204f7fa886fed8209964abb3ca5bc0b40e','{"id":58141807,"name":"Step 1","sort":20,"is_editable":true,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950552:58141810','Step 2','9da15cb3-d84d-4ec6-b18f-fe15cf647d88',NULL,NULL,'2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000','2026-09-21 14:30:00.000000','2026-09-21 14:30:00.000000','list','2026-12-01 09:56:25.377132','4e4302fe-5cbe-4799-a970-1c44ccb6f815','a1bede89597f5d50ec94f2759f95126b48eb623f19b95765a99122e548c3070b','{"id":58141810,"name":"Step 2","sort":30,"is_editable":true,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','stages','6950552:58141813','Step 3','6e2bbb68-e5a9-4a7e-b145-5e8890fcf9e1',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.115257','43b63292-550c-4c2e-8454-3f294cb76e47','dd7c293b36ac57da7ce40835a6746b3e2b531ed9c6728ff210c1642a2b6c63e5','{"id":58141813,"name":"Step 3","sort":40,"is_editable":true,"pipeline_id":6950552,"color":"#99ccff","type":0,"account_id":31000001,"_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','tasks','7000001',NULL,'e3d5e8d8-cf1f-458c-afa8-82b52cd663eb','2025-01-01 00:00:00.000000','2025-01-05 23:10:11.000000','2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000','2026-09-21 14:30:00.000000','2026-09-21 14:30:00.000000','event','2026-12-01 09:56:26.331501','fbd3fd02-1bd2-4f06-b651-24ea6fc9e1b8','631694b4431a47fd9533596fd7394eaf4fa37c3d01a088a9e92036bc004ee483','{"id":7000001,"responsible_user_id":8000002,"group_id":0,"created_by":8000002,"updated_by":8000002,"created_at":1735689600,"updated_at":1736118611,"account_id":31000001,"entity_id":20000001,"entity_type":"leads","duration":0,"is_completed":true,"task_type_id":1,"text":"Call about deal 1","result":{"text":"Done"},"complete_till":1735776000,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/tasks/7000001"}}}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','custom_fields','leads:1016236','Client type','a6b58cbe-944e-4650-b788-3288e5520b13',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.851636','d6df071e-c28f-4563-b201-fe17ca242ee5','32ec43dada723c5951f766ba432fb1a7df7f0ced7166310f0d684afb351bb3e4','{"id":1016236,"name":"Client type","type":"select","account_id":31000001,"code":null,"sort":500,"is_api_only":false,"enums":[{"id":867968,"value":"New","sort":500},{"id":867970,"value":"Regular","sort":501},{"id":867972,"value":"Partner","sort":502}],"group_id":null,"required_statuses":[],"is_deletable":true,"is_predefined":false,"entity_type":"leads","_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','custom_fields','leads:1016240','Contract date','8b5c9c79-182e-44e3-bc7a-521bb9579825',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.851636','d6df071e-c28f-4563-b201-fe17ca242ee5','50720a8a2c3477650f7eb74168a59ed8ba107bc4b58f581f6a536c78d8f2ada9','{"id":1016240,"name":"Contract date","type":"date","account_id":31000001,"code":null,"sort":501,"is_api_only":false,"enums":null,"group_id":null,"required_statuses":[],"is_deletable":true,"is_predefined":false,"entity_type":"leads","_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','custom_fields','leads:1016244','Source','25b57b1b-d549-4e37-8014-86db5392bd8e',NULL,NULL,'2026-09-21 14:13:20.000000','2026-09-21 14:13:20.000000','2026-09-21 14:30:00.000000','2026-09-21 14:30:00.000000','list','2026-12-01 09:56:25.830526','00dc6731-d8ca-41c7-9916-dbe4859d6c58','e7e6984624e377f6b995864d860be53b97906bcf900e1d46e359c5ae8da49c20','{"id":1016244,"name":"Source","type":"radiobutton","account_id":31000001,"code":null,"sort":502,"is_api_only":false,"enums":[{"id":566640,"value":"Site","sort":500},{"id":566642,"value":"Fair","sort":501}],"group_id":null,"required_statuses":[],"is_deletable":true,"is_predefined":false,"entity_type":"leads","_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','custom_fields','contacts:771906','Phone','eab388ac-f3e0-48da-8305-e73f58dc955f',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.907584','729620a5-5179-433a-9d5c-3f2c20d32e38','e3a4fabf1cb76227e917467ee68ef4fd50edc29cf4b185a5a2a540361180c4cf','{"id":771906,"name":"Phone","type":"multitext","account_id":31000001,"code":"PHONE","sort":500,"is_api_only":false,"enums":null,"group_id":null,"required_statuses":[],"is_deletable":false,"is_predefined":true,"entity_type":"contacts","_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','custom_fields','contacts:771908','Email','41a92993-1e4d-4e76-bb7c-2c41cbeb6c58',NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.907584','729620a5-5179-433a-9d5c-3f2c20d32e38','5bf5f319a4c3b4398918090f802b8dc053ecc8ba6b1d244f7181725906a44509','{"id":771908,"name":"Email","type":"multitext","account_id":31000001,"code":"EMAIL","sort":501,"is_api_only":false,"enums":null,"group_id":null,"required_statuses":[],"is_deletable":false,"is_predefined":true,"entity_type":"contacts","_links":[]}');
INSERT INTO "crm_row_versions" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','tasks','7000002',NULL,'89dea895-c8ef-4783-b6c6-6517390f8c2c','2026-09-21 14:30:00.000000','2026-09-21 14:30:00.000000','2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.639625',NULL,'61e064bc2d7f7244733a6c43c838c64e5237d6379d0945c7d1f4002902bb137d','{"entity_id":20000001,"entity_type":"leads","result":[],"duration":0,"is_completed":false,"task_type_id":1,"text":"Call","complete_till":1790100000,"id":7000002,"created_at":1790001000,"updated_at":1790001000,"created_by":0,"updated_by":0,"responsible_user_id":8000001,"group_id":0,"account_id":31000001,"_links":{"self":{"href":"https://demo.kommo.com/api/v4/tasks/7000002"}}}');
CREATE TABLE crm_tags (
    connection_id TEXT NOT NULL, 
    entity_type TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    color TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, entity_type, external_id)
);
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','11','site',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.028332','7eb50d05-d6bf-473e-852e-c842b2309929','893a72afa4e6bf2e5d1f644a24017eb1814ef60707fdc3f26f2dfebf4428a813','{"id":11,"name":"site","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','12','fair',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.028332','7eb50d05-d6bf-473e-852e-c842b2309929','45430bf3e46ffad3fa0bad63f3dd418c11965767a99e93e6911fbc31599176b0','{"id":12,"name":"fair","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','13','call back',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.028332','7eb50d05-d6bf-473e-852e-c842b2309929','c8042e4091101ab0419e0adeb643b803f89302b2d3985225d7af79c188baba19','{"id":13,"name":"call back","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','leads','14','newsletter',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.028332','7eb50d05-d6bf-473e-852e-c842b2309929','b603bb5316f5ca0c7905884e9a7a7c304d0317b2e73c6840bb84a8b5169906cb','{"id":14,"name":"newsletter","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','11','site',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.083577','c8fd30b7-497d-497b-9b85-627181054b9d','893a72afa4e6bf2e5d1f644a24017eb1814ef60707fdc3f26f2dfebf4428a813','{"id":11,"name":"site","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','12','fair',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.083577','c8fd30b7-497d-497b-9b85-627181054b9d','45430bf3e46ffad3fa0bad63f3dd418c11965767a99e93e6911fbc31599176b0','{"id":12,"name":"fair","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','13','call back',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.083577','c8fd30b7-497d-497b-9b85-627181054b9d','c8042e4091101ab0419e0adeb643b803f89302b2d3985225d7af79c188baba19','{"id":13,"name":"call back","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','contacts','14','newsletter',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.083577','c8fd30b7-497d-497b-9b85-627181054b9d','b603bb5316f5ca0c7905884e9a7a7c304d0317b2e73c6840bb84a8b5169906cb','{"id":14,"name":"newsletter","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies','11','site',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.201351','fa298e70-3872-4bd2-9408-42b39416ac70','893a72afa4e6bf2e5d1f644a24017eb1814ef60707fdc3f26f2dfebf4428a813','{"id":11,"name":"site","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies','12','fair',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.201351','fa298e70-3872-4bd2-9408-42b39416ac70','45430bf3e46ffad3fa0bad63f3dd418c11965767a99e93e6911fbc31599176b0','{"id":12,"name":"fair","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies','13','call back',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.201351','fa298e70-3872-4bd2-9408-42b39416ac70','c8042e4091101ab0419e0adeb643b803f89302b2d3985225d7af79c188baba19','{"id":13,"name":"call back","color":null,"_links":[]}');
INSERT INTO "crm_tags" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','companies','14','newsletter',NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:25.201351','fa298e70-3872-4bd2-9408-42b39416ac70','b603bb5316f5ca0c7905884e9a7a7c304d0317b2e73c6840bb84a8b5169906cb','{"id":14,"name":"newsletter","color":null,"_links":[]}');
CREATE TABLE crm_tasks (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    org_id TEXT NOT NULL, 
    task_id TEXT NOT NULL, 
    entity_id TEXT NOT NULL, 
    entity_type TEXT NOT NULL, 
    task_text TEXT NOT NULL, 
    task_type_id INTEGER, 
    complete_till DATETIME, 
    responsible_user_id INTEGER, 
    is_completed BOOLEAN DEFAULT 0 NOT NULL, 
    metadata JSON, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    updated_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id), 
    UNIQUE (org_id, task_id)
);
INSERT INTO "crm_tasks" VALUES('e3d5e8d8-cf1f-458c-afa8-82b52cd663eb','0b7c9e0e-5d1f-4a52-8a53-6b0f6a1f9c11','7000001','20000001','leads','Call about deal 1',1,'2025-01-02 00:00:00.000000',8000002,1,'{"deleted_at":"2026-09-21T14:30:00+00:00"}','2026-12-01 09:56:24','2026-12-01 09:56:26');
INSERT INTO "crm_tasks" VALUES('89dea895-c8ef-4783-b6c6-6517390f8c2c','0b7c9e0e-5d1f-4a52-8a53-6b0f6a1f9c11','7000002','20000001','leads','Call',1,'2026-09-22 18:00:00.000000',8000001,0,'{}','2026-12-01 09:56:25','2026-12-01 09:56:25');
CREATE TABLE crm_users (
    connection_id TEXT NOT NULL, 
    external_id TEXT NOT NULL, 
    name TEXT, 
    email TEXT, 
    lang TEXT, 
    is_admin BOOLEAN, 
    is_active BOOLEAN, 
    group_id TEXT, 
    role_id TEXT, 
    remote_created_at DATETIME, 
    remote_updated_at DATETIME, 
    fetched_at DATETIME, 
    seen_at DATETIME, 
    gone_at DATETIME, 
    deleted_at DATETIME, 
    deleted_source TEXT, 
    changed_at DATETIME NOT NULL, 
    seen_run TEXT, 
    content_hash TEXT, 
    raw JSON, 
    PRIMARY KEY (connection_id, external_id)
);
INSERT INTO "crm_users" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','8000001','Ana Ruiz','user0@example.com','en',1,1,NULL,NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.334354','a29cc304-17b0-4670-9cda-9e192e4b9049','042acd4414573a31033813a6642db1d0dfc69e49de2d081c4e205173d4c6b6a3','{"id":8000001,"name":"Ana Ruiz","email":"user0@example.com","lang":"en","rights":{"leads":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"contacts":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"companies":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"tasks":{"edit":"A","delete":"A"},"mail_access":false,"catalog_access":false,"status_rights":[],"is_admin":true,"is_free":false,"is_active":true,"group_id":null,"role_id":null},"_links":[]}');
INSERT INTO "crm_users" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','8000002','Ben Novak','user1@example.com','en',0,1,NULL,NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.334354','a29cc304-17b0-4670-9cda-9e192e4b9049','a44221e609a89149888c343b1b00ab1a491d27167f6396187453947d5a275628','{"id":8000002,"name":"Ben Novak","email":"user1@example.com","lang":"en","rights":{"leads":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"contacts":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"companies":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"tasks":{"edit":"A","delete":"A"},"mail_access":false,"catalog_access":false,"status_rights":[],"is_admin":false,"is_free":false,"is_active":true,"group_id":null,"role_id":null},"_links":[]}');
INSERT INTO "crm_users" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','8000003','Chloé Schmidt','user2@example.com','en',0,1,NULL,NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.334354','a29cc304-17b0-4670-9cda-9e192e4b9049','f25a0a0d7c9e035360afaae623984a63c714a6317cae9e0d96d3cf5dc47dea84','{"id":8000003,"name":"Chloé Schmidt","email":"user2@example.com","lang":"en","rights":{"leads":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"contacts":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"companies":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"tasks":{"edit":"A","delete":"A"},"mail_access":false,"catalog_access":false,"status_rights":[],"is_admin":false,"is_free":false,"is_active":true,"group_id":null,"role_id":null},"_links":[]}');
INSERT INTO "crm_users" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','8000004','Dmitri Иванова','user3@example.com','en',0,1,NULL,NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.334354','a29cc304-17b0-4670-9cda-9e192e4b9049','da743f7b94d70d4fcdcaae3553a24a07d20e2690a369d3a7ef2d7d2b3a030c2a','{"id":8000004,"name":"Dmitri Иванова","email":"user3@example.com","lang":"en","rights":{"leads":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"contacts":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"companies":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"tasks":{"edit":"A","delete":"A"},"mail_access":false,"catalog_access":false,"status_rights":[],"is_admin":false,"is_free":false,"is_active":true,"group_id":null,"role_id":null},"_links":[]}');
INSERT INTO "crm_users" VALUES('5d1f8a52-6d0c-4f0e-8a53-6b0f6a1f9c12','8000005','Elif Öztürk','user4@example.com','en',0,1,NULL,NULL,NULL,NULL,'2026-09-21 14:46:40.000000','2026-09-21 14:46:40.000000',NULL,NULL,NULL,'2026-12-01 09:56:24.334354','a29cc304-17b0-4670-9cda-9e192e4b9049','5bd92a69e2e4b8b4b0ad41e5ec4f00ac8b650a8d0d595c3d79b6c1852c10c517','{"id":8000005,"name":"Elif Öztürk","email":"user4@example.com","lang":"en","rights":{"leads":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"contacts":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"companies":{"view":"A","edit":"A","add":"A","delete":"A","export":"A"},"tasks":{"edit":"A","delete":"A"},"mail_access":false,"catalog_access":false,"status_rights":[],"is_admin":false,"is_free":false,"is_active":true,"group_id":null,"role_id":null},"_links":[]}');
CREATE TABLE oauth_states (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    org_id TEXT NOT NULL, 
    provider TEXT DEFAULT 'kommo' NOT NULL, 
    state TEXT NOT NULL, 
    redirect_uri TEXT NOT NULL, 
    base_domain TEXT NOT NULL, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    expires_at DATETIME NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (provider, state)
);
CREATE TABLE webhook_events (
    id TEXT DEFAULT (lower(hex(randomblob(16)))) NOT NULL, 
    org_id TEXT NOT NULL, 
    provider TEXT NOT NULL, 
    event_type TEXT NOT NULL, 
    event_subtype TEXT, 
    entity_id TEXT, 
    entity_type TEXT, 
    payload JSON NOT NULL, 
    status TEXT DEFAULT 'pending', 
    error TEXT, 
    retry_count INTEGER DEFAULT '0', 
    max_retries INTEGER DEFAULT '3', 
    next_retry_at DATETIME, 
    processing_started_at DATETIME, 
    processed_at DATETIME, 
    created_at DATETIME DEFAULT CURRENT_TIMESTAMP, 
    PRIMARY KEY (id)
);
CREATE INDEX ix_crm_accounts_changed ON crm_accounts (changed_at);
CREATE INDEX ix_crm_accounts_updated ON crm_accounts (connection_id, remote_updated_at);
CREATE INDEX ix_crm_companies_changed ON crm_companies (changed_at);
CREATE INDEX ix_crm_companies_updated ON crm_companies (connection_id, remote_updated_at);
CREATE INDEX ix_crm_contacts_changed ON crm_contacts (changed_at);
CREATE INDEX ix_crm_contacts_updated ON crm_contacts (connection_id, remote_updated_at);
CREATE INDEX ix_crm_dirty_marked ON crm_dirty (connection_id, entity, marked_at);
CREATE INDEX ix_crm_events_changed ON crm_events (changed_at);
CREATE INDEX ix_crm_events_updated ON crm_events (connection_id, remote_updated_at);
CREATE INDEX ix_crm_hooks_received ON crm_hooks (received_at);
CREATE INDEX ix_crm_hooks_waiting ON crm_hooks (connection_id, received_at) WHERE expanded_at IS NULL;
CREATE INDEX ix_crm_leads_changed ON crm_leads (changed_at);
CREATE INDEX ix_crm_leads_updated ON crm_leads (connection_id, remote_updated_at);
CREATE INDEX ix_crm_links_to ON crm_links (connection_id, to_type, to_id);
CREATE INDEX ix_crm_notes_changed ON crm_notes (changed_at);
CREATE INDEX ix_crm_notes_updated ON crm_notes (connection_id, remote_updated_at);
CREATE INDEX ix_crm_outbox_state ON crm_outbox (connection_id, state, created_at);
CREATE UNIQUE INDEX uq_crm_outbox_key ON crm_outbox (connection_id, "key");
CREATE INDEX ix_crm_row_versions_local ON crm_row_versions (local_id);
CREATE INDEX ix_crm_tags_changed ON crm_tags (changed_at);
CREATE INDEX ix_crm_tags_updated ON crm_tags (connection_id, remote_updated_at);
CREATE INDEX ix_crm_users_changed ON crm_users (changed_at);
CREATE INDEX ix_crm_users_updated ON crm_users (connection_id, remote_updated_at);
COMMIT;
PRAGMA user_version = 0;
